/** Options of locks, and their checks. */
import { checkSignal } from './call-options.ts'
import { type Duration, parseDuration } from './duration.ts'
import { checkFields } from './fields.ts'

export interface TryLockOptions {
  /** How long the lock stands when its holder does not renew or release it. Default 30 s. */
  ttl?: Duration
  signal?: AbortSignal
}

export interface LockOptions extends TryLockOptions {
  /** How long to wait for a lock that somebody else holds; 0 to 24 days. Default 10 s. */
  wait?: Duration
}

export interface ValidatedLock {
  readonly ttlMs: number
  readonly waitMs: number
  readonly signal: AbortSignal | undefined
}

const usualTtlMs = 30_000
const usualWaitMs = 10_000
/** A timer cannot have more. */
const waitLimits = { minMs: 0, maxMs: 24 * 86_400_000 }

export function validateLock(options: unknown, where: string): ValidatedLock {
  const given = options ?? {}
  checkFields(given, where, ['ttl', 'wait', 'signal'])
  const { wait } = given
  return {
    ...common(given, where),
    waitMs: wait === undefined ? usualWaitMs : parseDuration(wait, `wait of ${where}`, waitLimits),
  }
}

export function validateTryLock(options: unknown, where: string): ValidatedLock {
  const given = options ?? {}
  checkFields(given, where, ['ttl', 'signal'])
  return { ...common(given, where), waitMs: 0 }
}

function common(given: Record<string, unknown>, where: string): Omit<ValidatedLock, 'waitMs'> {
  const { ttl, signal } = given
  return {
    ttlMs: ttl === undefined ? usualTtlMs : parseDuration(ttl, `ttl of ${where}`),
    signal: checkSignal(signal, where),
  }
}
