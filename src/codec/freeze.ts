/** Deep freezing, so that one decoded value can be given to many. */

/**
 * Freezes arrays and plain objects down to the last, and says true; a value with anything in it that freezing does not
 * protect (Buffers, typed arrays, Dates, Maps, Sets) is left as it is: false. Strings, numbers and such are frozen.
 */
export function freezeDeep(value: unknown): boolean {
  if (!isFreezable(value)) return false
  freeze(value)
  return true
}

function isFreezable(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true
  if (Array.isArray(value)) return value.every(isFreezable)
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return false
  return Object.values(value).every(isFreezable)
}

function freeze(value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  Object.freeze(value)
  for (const inner of Object.values(value)) freeze(inner)
}
