/**
 * One row of the log's index: where the record of a key lies. 36 bytes, little-endian, always the same length:
 *
 * ```text
 *  0  u8   kind        1 set, 2 delete (a tombstone)
 *  1  u8   flags       as the log wrote them
 *  2  u16  zero
 *  4  u32  file        number of the log file
 *  8  u32  offset      of the record in it
 * 12  u32  bytes       of the record
 * 16  u64  clock       version
 * 24  u64  expires at  milliseconds since 1970; 0 = never
 * 32  u32  check       of the key the row lies under and of the 32 bytes above
 * ```
 *
 * LMDB has no checksums: the check is what tells a damaged row from a right one. Each step of it, xor and an odd
 * factor, can be undone, so a single wrong bit always shows.
 *
 * The key of a row is the entry's key. One over 1,900 bytes does not fit a page of LMDB: its row lies under its first
 * 1,900 bytes and 16 of its SHA-256, which is longer than any key that is kept whole, so the two are never confused.
 * Whoever reads the record compares the full key beside it.
 */
import { createHash } from 'node:crypto'
import { RamcacheError } from '../base/errors.ts'
import { checkKey } from './keys.ts'
import { readU64 } from './u64.ts'

export const rowBytes = 36
export const kindSet = 1
export const kindDelete = 2
export const kindClear = 3

/** Keys up to here are kept whole. lmdb-js takes 1,978 bytes. */
export const wholeKeyBytesMax = 1900
const hashBytes = 16

/** Where things lie in a row; the last 32 bytes of an entry's head (`index-batch.ts`) have the same shape. */
export const rowAt = { kind: 0, flags: 1, file: 4, offset: 8, bytes: 12, clock: 16, expiresAt: 24, check: 32 }

export interface Row {
  readonly isTombstone: boolean
  readonly flags: number
  readonly file: number
  readonly offset: number
  readonly bytes: number
  readonly clock: bigint
  readonly expiresAt: number
}

/** The key a row lies under. */
export function storedKey(key: Buffer): Buffer {
  if (key.length <= wholeKeyBytesMax) return key
  const hash = createHash('sha256').update(key).digest()
  return Buffer.concat([key.subarray(0, wholeKeyBytesMax), hash.subarray(0, hashBytes)])
}

/** Whether the full key must be taken from the record. */
export function isHashedKey(stored: Uint8Array): boolean {
  return stored.length > wholeKeyBytesMax
}

export function checkedStoredKey(key: Buffer): Buffer {
  checkKey(key)
  return storedKey(key)
}

/** FNV-1a over 32-bit words for the row and bytes for the key. */
export function checkOf(key: Uint8Array, row: Buffer): number {
  let hash = 0x811c_9dc5 ^ key.length
  for (let index = 0; index < key.length; index++)
    hash = Math.imul(hash ^ (key[index] as number), 0x0100_0193)
  for (let at = 0; at < rowAt.check; at += 4) hash = Math.imul(hash ^ row.readInt32LE(at), 0x0100_0193)
  return hash >>> 0
}

/** Whether `row` is whole and belongs to `key`; only `length` bytes of it count, it may be a window of LMDB's. */
export function isRowSound(key: Uint8Array, row: Buffer, length = row.length): boolean {
  if (length !== rowBytes) return false
  const kind = row[rowAt.kind]
  if (kind !== kindSet && kind !== kindDelete) return false
  return row.readUInt16LE(2) === 0 && row.readUInt32LE(rowAt.check) === checkOf(key, row)
}

export function corruptRow(path: string, key: Uint8Array): RamcacheError {
  const start = Buffer.from(key.subarray(0, 16)).toString('hex')
  return new RamcacheError(
    'ERR_RAMCACHE_CORRUPT',
    `the index ${path} has a damaged row for a key of ${key.length} bytes that begins with ${start}; rebuild it from the log`,
  )
}

export function readRow(row: Buffer): Row {
  return {
    isTombstone: row[rowAt.kind] === kindDelete,
    flags: row[rowAt.flags] as number,
    file: row.readUInt32LE(rowAt.file),
    offset: row.readUInt32LE(rowAt.offset),
    bytes: row.readUInt32LE(rowAt.bytes),
    clock: row.readBigUInt64LE(rowAt.clock),
    expiresAt: readU64(row, rowAt.expiresAt),
  }
}

/** Which of two places in the log is later: files are numbered upwards. */
export function comparePlaces(left: Buffer, leftAt: number, right: Buffer, rightAt: number): number {
  const file = left.readUInt32LE(leftAt) - right.readUInt32LE(rightAt)
  return file !== 0 ? file : left.readUInt32LE(leftAt + 4) - right.readUInt32LE(rightAt + 4)
}
