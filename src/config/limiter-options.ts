/** Options of limiters, and their checks. */
import { show } from '../base/errors.ts'
import { type Duration, parseDuration, ttlLimits } from './duration.ts'
import { checkFields, configError } from './fields.ts'

export interface LimiterOptions {
  /** Points that are admitted in any window of this length: 1 to 1,000,000,000. */
  limit: number
  /** Length of the window: 1 ms to 10 years. It slides. */
  window: Duration
  /** Points in a window from which on results say `warned`: 1 to `limit`. Default: never. */
  warn?: number
  /** How long a key is denied everything once it was denied something. Default 0: until the window has room again. */
  penalty?: Duration
}

/** The same in the units of the store; 0 = none. */
export interface ValidatedLimiter {
  readonly points: number
  readonly windowMs: number
  readonly warn: number
  readonly penaltyMs: number
}

/** The same numbers stand in `native/core/src/ops/limit.rs`. */
const limitMax = 1_000_000_000
const nameBytesMax = 64

export function validateLimiter(name: unknown, options: unknown, where: string): ValidatedLimiter {
  if (typeof name !== 'string' || !/^[\x21-\x7e]+$/.test(name) || name.length > nameBytesMax) {
    throw configError(
      `the name of ${where} must be 1 to ${nameBytesMax} visible ASCII characters, not ${show(name)}`,
    )
  }
  checkFields(options, where, ['limit', 'window', 'warn', 'penalty'])
  const { limit, window, warn, penalty } = options
  checkPoints(limit, `limit of ${where}`, 1, limitMax)
  if (warn !== undefined) checkPoints(warn, `warn of ${where}`, 1, limit)
  return {
    points: limit,
    windowMs: parseDuration(window, `window of ${where}`),
    warn: warn ?? 0,
    penaltyMs:
      penalty === undefined
        ? 0
        : parseDuration(penalty, `penalty of ${where}`, { minMs: 0, maxMs: ttlLimits.maxMs }),
  }
}

/** Throws ERR_RAMCACHE_CONFIG that names the value and the limits. */
export function checkPoints(
  points: unknown,
  what: string,
  least: number,
  most: number,
): asserts points is number {
  if (Number.isSafeInteger(points) && (points as number) >= least && (points as number) <= most) return
  throw configError(`${what} must be a whole number of ${least} to ${most}, not ${show(points)}`)
}
