/**
 * Durations: a number of milliseconds, or a whole number with a unit (`'500ms'`, `'10s'`, `'2m'`, `'1h'`, `'1d'`).
 * Fractions are refused rather than rounded: `'1.5h'` is written `'90m'`.
 */
import { RamcacheError, show } from '../base/errors.ts'

/** Milliseconds, or a whole number followed by `ms`, `s`, `m`, `h` or `d`. */
export type Duration = number | string

export interface DurationLimits {
  readonly minMs: number
  readonly maxMs: number
}

const unitsMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

/**
 * Limits of a time to live and of an idle time. Ten years: expiry is stored in few bits, and a longer time is nearly
 * always a mistake in the unit (seconds since 1970 given as a duration, for one).
 */
export const ttlLimits: DurationLimits = { minMs: 1, maxMs: 10 * 365 * 86_400_000 }

/** Whole milliseconds within the limits; otherwise ERR_RAMCACHE_CONFIG naming the option, the value and the limit. */
export function parseDuration(value: unknown, name: string, limits: DurationLimits = ttlLimits): number {
  const ms = typeof value === 'string' ? parseText(value, name) : value
  if (typeof ms !== 'number') {
    throw new RamcacheError(
      'ERR_RAMCACHE_CONFIG',
      `${name} must be a number of milliseconds or a text like '10s', not ${show(value)}`,
    )
  }
  if (!Number.isInteger(ms)) {
    throw new RamcacheError(
      'ERR_RAMCACHE_CONFIG',
      `${name} must be a whole number of milliseconds, not ${show(value)}`,
    )
  }
  if (ms < limits.minMs || ms > limits.maxMs) {
    const bound =
      ms < limits.minMs
        ? `below the minimum of ${limits.minMs} ms`
        : `above the maximum of ${limits.maxMs} ms`
    throw new RamcacheError('ERR_RAMCACHE_CONFIG', `${name} is ${show(value)}, ${bound}`)
  }
  return ms
}

function parseText(text: string, name: string): number {
  const match = /^(\d{1,15})(ms|s|m|h|d)$/.exec(text)
  if (match === null) {
    throw new RamcacheError(
      'ERR_RAMCACHE_CONFIG',
      `${name} is ${show(text)}; a duration is a whole number with a unit: ms, s, m, h or d (as in '500ms', '10s', '2h')`,
    )
  }
  return Number(match[1]) * (unitsMs[match[2] as string] as number)
}
