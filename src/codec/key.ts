/**
 * Keys: strings or bytes, 1 to 4,096 bytes of UTF-8. A string and its UTF-8 bytes are the same key. Strings must be
 * well-formed: a lone surrogate has no UTF-8, and two keys could fall together.
 */
import { RamcacheError, show } from '../base/errors.ts'

/** A string of 1 to 4,096 bytes of UTF-8, or as many bytes. A string and its UTF-8 bytes are the same key. */
export type Key = string | Uint8Array

export const keyBytesMax = 4096

/** A string this short fits whatever it holds: UTF-8 takes at most 3 bytes for each UTF-16 unit. */
const keyLengthSafe = Math.floor(keyBytesMax / 3)

/** Throws ERR_RAMCACHE_KEY when `key` cannot be a key. */
export function checkKey(key: unknown): asserts key is Key {
  if (typeof key === 'string') {
    if (key.length > 0 && key.length <= keyLengthSafe && isWellFormed(key)) return
    checkString(key)
  } else if (key instanceof Uint8Array) {
    checkLength(key.length, key)
  } else {
    throw keyError(`a key must be a string or bytes, not ${show(key)}`)
  }
}

/**
 * The part of `checkKey` that costs nothing, for reads: the type, and a length that needs no counting. The store
 * itself refuses what is left.
 */
export function checkKeyBriefly(key: unknown): void {
  if (typeof key === 'string' && key.length > 0 && key.length <= keyLengthSafe) return
  checkKey(key)
}

function checkString(key: string): void {
  // Counting bytes of an endless string is pointless: no character takes less than one.
  checkLength(key.length > keyBytesMax ? key.length : Buffer.byteLength(key), key)
  if (!isWellFormed(key)) {
    throw keyError(`the key ${show(key)} holds half a surrogate pair, which has no UTF-8 form`)
  }
}

function checkLength(bytes: number, key: Key): void {
  if (bytes === 0) throw keyError('a key must not be empty')
  if (bytes > keyBytesMax) {
    throw keyError(`the key ${show(key)} is ${bytes} bytes long, above the maximum of ${keyBytesMax} bytes`)
  }
}

/** `String.prototype.isWellFormed` of ES2024, which the oldest supported Node has. */
export function isWellFormed(text: string): boolean {
  return (text as string & { isWellFormed(): boolean }).isWellFormed()
}

function keyError(message: string): RamcacheError {
  return new RamcacheError('ERR_RAMCACHE_KEY', message)
}
