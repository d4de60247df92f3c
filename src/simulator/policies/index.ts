/** The table of rivals. A further policy is one file and one line here. */

import { Belady } from './belady.ts'
import { Fifo } from './fifo.ts'
import { Lru } from './lru.ts'
import type { Policy, PolicyInput } from './policy.ts'
import { S3Fifo } from './s3-fifo.ts'
import { Sieve } from './sieve.ts'

export type { Policy, PolicyInput } from './policy.ts'

export const POLICIES = {
  FIFO: (input: PolicyInput): Policy => new Fifo(input),
  LRU: (input: PolicyInput): Policy => new Lru(input),
  SIEVE: (input: PolicyInput): Policy => new Sieve(input),
  'S3-FIFO': (input: PolicyInput): Policy => new S3Fifo(input),
  Belady: (input: PolicyInput): Policy => new Belady(input),
} as const

export type PolicyName = keyof typeof POLICIES

export const POLICY_NAMES = Object.keys(POLICIES) as PolicyName[]
