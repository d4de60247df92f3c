/** Checks shared by the adapters: what they are given as a cache, and times to live as other packages give them. */
import { show } from '../base/errors.ts'
import { ttlLimits } from '../config/duration.ts'
import { configError } from '../config/fields.ts'
import type { Cache } from '../index.ts'

/** Refuses what cannot be written to: an attached cache, or something else. */
export function checkCache(cache: unknown, where: string): asserts cache is Cache {
  const isObject = typeof cache === 'object' && cache !== null
  if (isObject && typeof (cache as Cache).get === 'function' && typeof (cache as Cache).set === 'function') {
    return
  }
  throw configError(
    `${where} needs a cache from open() or connect(), or a namespace of one, not ${show(cache)}`,
  )
}

/** The text of an option, or `undefined` when it was not given. */
export function checkText(value: unknown, name: string, where: string): string | undefined {
  if (value === undefined || typeof value === 'string') return value
  throw configError(`${name} of ${where} must be a string, not ${show(value)}`)
}

/** A whole number of an option from `min` to `max`, or `undefined` when it was not given. */
export function checkCount(
  value: unknown,
  name: string,
  where: string,
  { min, max = Number.MAX_SAFE_INTEGER }: { min: number; max?: number },
): number | undefined {
  if (value === undefined) return undefined
  if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max)
    return value as number
  const upTo = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`
  throw configError(`${name} of ${where} must be a whole number ${upTo}, not ${show(value)}`)
}

/**
 * A time to live within the limits of a store: fractions are rounded up, what is longer than the longest is the longest.
 * `undefined` when there is none to store: it must be above 0.
 */
export function storableTtl(ms: number): number | undefined {
  return ms > 0 ? Math.min(Math.ceil(ms), ttlLimits.maxMs) : undefined
}
