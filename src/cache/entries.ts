/** Keys and entries as callers give them. */
import { show } from '../base/errors.ts'
import { checkKey } from '../codec/key.ts'
import { configError } from '../config/fields.ts'
import type { Key } from './types.ts'

export function copyKey(key: Key): Key {
  return typeof key === 'string' ? key : Uint8Array.from(key)
}

export function checkEntries(entries: Iterable<readonly [Key, unknown]>): (readonly [Key, unknown])[] {
  if (typeof entries !== 'object' || entries === null || !(Symbol.iterator in entries)) {
    throw configError(`setMany() takes an array or another iterable of [key, value], not ${show(entries)}`)
  }
  const list = [...entries]
  for (const entry of list) {
    if (!Array.isArray(entry) || entry.length !== 2) {
      throw configError(`setMany() takes [key, value] for each entry, not ${show(entry)}`)
    }
    checkKey(entry[0])
  }
  return list
}
