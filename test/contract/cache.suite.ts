/**
 * What every cache must do, wherever its store is. A placement runs it by giving a way to open one:
 *
 *   cacheContract('embedded', openEmbedded)
 */
import { afterEach, beforeEach, describe, expect } from 'vitest'
import type { Cache, OpenOptions } from '../../src/index.ts'
import type { Placement } from '../support/stores.ts'
import { badInputContract } from './bad-input.suite.ts'
import { counterContract } from './counters.suite.ts'
import { expiryContract } from './expiry.suite.ts'
import { getOrSetContract } from './get-or-set.suite.ts'
import { lifecycleContract } from './lifecycle.suite.ts'
import { limiterContract } from './limiter.suite.ts'
import { lockContract } from './locks.suite.ts'
import { manyContract } from './many.suite.ts'
import { namespaceContract } from './namespaces.suite.ts'
import { readWriteContract } from './read-write.suite.ts'
import { scanContract } from './scan.suite.ts'
import { streamContract } from './streams.suite.ts'
import { tagContract } from './tags.suite.ts'

export type OpenPlacement = (options?: Partial<OpenOptions>) => Promise<Placement>

/** What a placement has, where that makes a difference to what must be refused. */
export interface Kind {
  readonly hasDisk: boolean
  /** The process that reads does not have the store in its memory: `getSync` finds nothing. */
  readonly isUnmapped?: boolean
}

/** The store of the test that is running. */
export interface Subject {
  readonly cache: Cache
  readonly dir: string
  advance(ms: number): void | Promise<void>
  /** Another store, with options of its own; ended with the test like the first. */
  open(options: Partial<OpenOptions>): Promise<Placement>
  reopen(): Promise<Cache>
  /** As of `Kind`. */
  readonly isUnmapped?: boolean
  /** `getSync`; where that finds nothing, which is checked, `get`. */
  getNow<T>(key: string, cache?: Cache): Promise<T | undefined>
}

export function cacheContract(
  name: string,
  openPlacement: OpenPlacement,
  kind: Kind = { hasDisk: false },
): void {
  describe(`${name} cache`, () => {
    let current: Placement
    let others: Placement[] = []
    const subject: Subject = {
      get cache() {
        return current.cache
      },
      get dir() {
        return current.dir
      },
      advance: (ms) => current.advance(ms),
      open: async (options) => {
        const placement = await openPlacement(options)
        others.push(placement)
        return placement
      },
      isUnmapped: kind.isUnmapped === true,
      getNow: async <T>(key: string, cache = current.cache) => {
        const found = cache.getSync<T>(key)
        if (kind.isUnmapped !== true) return found
        expect(found).toBe(undefined)
        return cache.get<T>(key)
      },
      reopen: async () => {
        current = await current.reopen()
        return current.cache
      },
    }

    beforeEach(async () => {
      current = await openPlacement()
    })

    afterEach(async () => {
      const ended = [current, ...others]
      others = []
      for (const placement of ended) await placement.end()
    })

    describe('reads and writes', () => readWriteContract(subject))
    describe('counters', () => counterContract(subject))
    describe('expiry', () => expiryContract(subject))
    describe('many at once', () => manyContract(subject))
    describe('scans', () => scanContract(subject))
    describe('namespaces', () => namespaceContract(subject))
    describe('getOrSet', () => getOrSetContract(subject))
    describe('tags', () => tagContract(subject))
    describe('streams', () => streamContract(subject))
    describe('locks', () => lockContract(subject))
    describe('limiters', () => limiterContract(subject))
    describe('lifecycle', () => lifecycleContract(subject))
    describe('bad input', () => badInputContract(subject, kind))
  })
}
