/** Keys on their way in and out of the store. */
import type { Key } from './engine.ts'

/** Bytes may be used for something else while an answer is awaited. */
export function ownKey(key: Key): Key {
  return typeof key === 'string' ? key : Uint8Array.from(key)
}

/** As entries show it. */
export function keyText(key: Key): string {
  return typeof key === 'string' ? key : Buffer.from(key).toString()
}
