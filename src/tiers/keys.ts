/** Keys as every tier takes them: bytes, checked once, ordered as bytes. */
import { RamcacheError, show } from '../base/errors.ts'
import { tierKeyBytesMax } from './tier.ts'

/** The namespace id before every key. */
export const namespaceBytes = 2

export function checkKey(key: Buffer): void {
  if (key.length <= namespaceBytes || key.length > tierKeyBytesMax) {
    throw new RamcacheError(
      'ERR_RAMCACHE_KEY',
      `a key in a tier has ${namespaceBytes + 1} to ${tierKeyBytesMax} bytes, this one ${key.length}`,
    )
  }
}

/** The least key greater than all that begin with `prefix`; `undefined` when there is none. */
export function keyAfterPrefix(prefix: Buffer): Buffer | undefined {
  let length = prefix.length
  while (length > 0 && prefix[length - 1] === 0xff) length--
  if (length === 0) return undefined
  const end = Buffer.from(prefix.subarray(0, length))
  end[length - 1] = (end[length - 1] as number) + 1
  return end
}

/** The least key greater than `key`. */
export function keyAfter(key: Buffer): Buffer {
  return Buffer.concat([key, Buffer.alloc(1)])
}

export function laterKey(left: Buffer, right: Buffer | undefined): Buffer {
  return right === undefined || Buffer.compare(left, right) >= 0 ? left : right
}

export function beginsWith(key: Buffer, prefix: Buffer): boolean {
  return key.length >= prefix.length && key.compare(prefix, 0, prefix.length, 0, prefix.length) === 0
}

export function checkLimit(limit: number): void {
  if (!Number.isSafeInteger(limit) || limit < 1) {
    throw new RamcacheError('ERR_RAMCACHE_CONFIG', `the limit of a scan is at least 1, not ${show(limit)}`)
  }
}

/**
 * The entries of a batch in key order, one for each key: the one with the highest version. Sorted input is what the
 * engines below write fastest, and one entry for each key keeps their counts simple.
 */
export function newestByKey<T extends { readonly key: Buffer; readonly version: bigint }>(
  entries: readonly T[],
): T[] {
  const sorted = [...entries].sort((left, right) => Buffer.compare(left.key, right.key))
  const newest: T[] = []
  for (const entry of sorted) {
    const last = newest.at(-1)
    if (last === undefined || !last.key.equals(entry.key)) newest.push(entry)
    else if (entry.version > last.version) newest[newest.length - 1] = entry
  }
  return newest
}
