/**
 * Packed batches for the log's index. Little-endian, entries back to back, in key order.
 *
 * A change, as the log hands them over:
 *
 * ```text
 *  0  u16  key bytes
 *  2  u8   kind        1 set, 2 delete, 3 clear (key = namespace id, clock = its epoch)
 *  3  u8   flags       bit 0: a copy made by a drain of the log
 *  4  u32  file
 *  8  u32  offset
 * 12  u32  bytes
 * 16  u64  clock
 * 24  u64  expires at
 * 32  key
 * ```
 *
 * A move, as a drain hands them over: `u16 key bytes | u16 zero | u32 old file | u32 old offset | u32 file | u32 offset |
 * key`. File 0: the record is dead, and so is its row.
 */
import { AssertionError, assert } from '../base/assert.ts'
import { kindClear, kindDelete, kindSet } from './index-row.ts'
import { namespaceBytes } from './keys.ts'
import { tierKeyBytesMax } from './tier.ts'
import { writeU64 } from './u64.ts'

export const changeHeadBytes = 32
export const moveHeadBytes = 20

/**
 * Set on the copy a drain appends of a record that stands. It carries the old version, and says nothing new: it moves
 * a row that has just this version and never makes one, or it would bring back what was deleted before it.
 */
export const flagCopy = 1

export interface Change {
  readonly key: Buffer
  readonly kind: 'set' | 'delete' | 'clear'
  readonly flags?: number
  readonly file: number
  readonly offset: number
  readonly bytes: number
  readonly clock: bigint
  readonly expiresAt?: number
}

export interface Move {
  readonly key: Buffer
  readonly oldFile: number
  readonly oldOffset: number
  readonly file: number
  readonly offset: number
}

const kinds = { set: kindSet, delete: kindDelete, clear: kindClear }

/** Packs changes, sorted by key. */
export function packChanges(changes: readonly Change[]): Buffer {
  return pack(changes, changeHeadBytes, (head, change) => {
    head[2] = kinds[change.kind]
    head[3] = change.flags ?? 0
    head.writeUInt32LE(change.file, 4)
    head.writeUInt32LE(change.offset, 8)
    head.writeUInt32LE(change.bytes, 12)
    head.writeBigUInt64LE(change.clock, 16)
    writeU64(head, change.expiresAt ?? 0, 24)
  })
}

/** Packs moves, sorted by key. */
export function packMoves(moves: readonly Move[]): Buffer {
  return pack(moves, moveHeadBytes, (head, move) => {
    head.writeUInt16LE(0, 2)
    head.writeUInt32LE(move.oldFile, 4)
    head.writeUInt32LE(move.oldOffset, 8)
    head.writeUInt32LE(move.file, 12)
    head.writeUInt32LE(move.offset, 16)
  })
}

function pack<T extends { readonly key: Buffer }>(
  items: readonly T[],
  headBytes: number,
  fill: (head: Buffer, item: T) => void,
): Buffer {
  const sorted = [...items].sort((left, right) => Buffer.compare(left.key, right.key))
  const packed = Buffer.alloc(sorted.reduce((sum, { key }) => sum + headBytes + key.length, 0))
  let at = 0
  for (const item of sorted) {
    packed.writeUInt16LE(item.key.length, at)
    fill(packed.subarray(at, at + headBytes), item)
    at += headBytes + item.key.copy(packed, at + headBytes)
  }
  return packed
}

/**
 * Walks over a batch once before any of it is applied, so that a bad one is refused whole: lengths, kinds and the
 * order of keys, clears aside. Returns the number of entries.
 */
export function checkBatch(batch: Buffer, headBytes: number): number {
  let count = 0
  let previousAt = 0
  let previousBytes = 0
  for (let at = 0; at < batch.length; ) {
    assert(at + headBytes <= batch.length, `a batch for the index ends inside a head, at ${at}`)
    const keyBytes = batch.readUInt16LE(at)
    const keyAt = at + headBytes
    assert(keyAt + keyBytes <= batch.length, `a batch for the index ends inside a key, at ${at}`)
    const isClear = headBytes === changeHeadBytes && batch[at + 2] === kindClear
    if (headBytes === changeHeadBytes && !isClear) checkKind(batch[at + 2] as number)
    const isKeyFit = isClear
      ? keyBytes === namespaceBytes
      : keyBytes > namespaceBytes && keyBytes <= tierKeyBytesMax
    assert(isKeyFit, `a batch for the index has a key of ${keyBytes} bytes`)
    // Clears come first, of whatever namespace.
    if (!isClear) {
      const order = batch.compare(batch, previousAt, previousAt + previousBytes, keyAt, keyAt + keyBytes)
      // The same key again is the same key later in the log.
      assert(previousBytes === 0 || order >= 0, 'a batch for the index is not in key order')
      previousAt = keyAt
      previousBytes = keyBytes
    }
    at = keyAt + keyBytes
    count++
  }
  return count
}

function checkKind(kind: number): void {
  if (kind !== kindSet && kind !== kindDelete) {
    throw new AssertionError(`ramcache: broken invariant: a batch for the index has an entry of kind ${kind}`)
  }
}
