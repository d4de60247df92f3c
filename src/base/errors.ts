/**
 * Every error of this package that a caller can meet: one class, a closed list of codes.
 *
 * `docs/ERRORS.md` shows this table, and a test compares the two. Bugs of our own are not in here: they are
 * `AssertionError`s (`assert.ts`).
 */

/** What each code means and what the caller can do about it. */
export const errorTable = {
  ERR_RAMCACHE_TIMEOUT:
    'The operation did not finish within the time it was given; it may still take effect.',
  ERR_RAMCACHE_CLOSED: 'The cache was closed, by `close()` or by `await using`; open a new one.',
  ERR_RAMCACHE_NOT_INTEGER:
    'A counter operation met a missing key without `init`, a value that is not an integer, or a result beyond ±(2^53 - 1); the entry is unchanged.',
  ERR_RAMCACHE_CONFLICT: 'Other writers changed the entry on every attempt; nothing was written, try again.',
  ERR_RAMCACHE_LOCKED: 'Somebody else holds the lock, or owns the directory and lets nobody join.',
  ERR_RAMCACHE_QUOTA: 'The namespace has reached its quota.',
  ERR_RAMCACHE_FULL:
    'There is no room left to store the value, in memory or on the disk that the message names, and nothing that may be evicted for it.',
  ERR_RAMCACHE_CORRUPT:
    'Stored bytes are damaged or of an unknown format; they were refused, not guessed at.',
  ERR_RAMCACHE_UNAVAILABLE:
    'Something that is needed is missing or does not answer: the native library, the owner of the store, a daemon, the blob to read or a part of it. Of a write, the message says whether it may have been carried out.',
  ERR_RAMCACHE_CONFIG:
    'An option is unknown, malformed, out of range, contradictory or not supported by this version.',
  ERR_RAMCACHE_KEY: 'The key is not a string or bytes, is empty, too long or not well-formed Unicode.',
  ERR_RAMCACHE_VALUE:
    'The value, or something inside it, cannot be stored, and the message gives the path to it; or the stored value is of a kind this method cannot return.',
  ERR_RAMCACHE_POISONED:
    'A write or a sync of a file failed, so what is on the disk is unknown: writes are refused until the store is opened again, reads go on.',
} as const

export type ErrorCode = keyof typeof errorTable

/** The only error class of this package. Compare `code`: messages may change between versions. */
export class RamcacheError extends Error {
  override readonly name = 'RamcacheError'
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
  }
}

/** A short, safe picture of any value for an error message: never throws, never longer than about 60 characters. */
export function show(value: unknown): string {
  let text: string
  try {
    text = showFull(value)
  } catch {
    // A proxy or a getter may throw anything; the error that is being made matters more.
    text = 'an object'
  }
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`
}

function showFull(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value.length <= 60 ? value : value.slice(0, 60))
    case 'bigint':
      return `${value}n`
    case 'function':
      return value.name === '' ? 'a function' : `function ${value.name}`
    case 'object':
      return value === null ? 'null' : showObject(value)
    default:
      return String(value)
  }
}

function showObject(value: object): string {
  if (Array.isArray(value)) return `an array of ${value.length}`
  const name = Object.getPrototypeOf(value)?.constructor?.name
  return typeof name === 'string' && name !== '' && name !== 'Object' ? `a ${name}` : 'an object'
}
