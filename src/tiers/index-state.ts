/**
 * What the log's index knows about itself, one row that every transaction rewrites. Little-endian:
 *
 * ```text
 *  0  8 bytes  magic "RCLOGIDX"
 *  8  u32      format version, 1
 * 12  u32      check of everything else, FNV-1a over bytes
 * 16  u32      position: file      every change before this place in the log is in the index
 * 20  u32      position: offset
 * 24  u64      rows that stand for a value
 * 32  u64      bytes of the records they lead to
 * 40  u64      tombstones
 * 48  u32      bytes of what the owner keeps here
 * 52  ...      what the owner keeps here
 * ```
 */
import { RamcacheError } from '../base/errors.ts'
import { readU64, writeU64 } from './u64.ts'

const magic = Buffer.from('RCLOGIDX')
export const indexFormatVersion = 1
const headBytes = 52

/** What an owner may keep beside the position: an arena id, a clock ceiling. Rewritten with every commit. */
export const ownerBytesMax = 1024

/** A place in the log. File 0, offset 0 is before everything. */
export interface Position {
  readonly file: number
  readonly offset: number
}

export interface IndexState {
  position: Position
  rows: number
  bytes: number
  tombstones: number
  owner: Buffer
}

export function freshState(): IndexState {
  return { position: { file: 0, offset: 0 }, rows: 0, bytes: 0, tombstones: 0, owner: Buffer.alloc(0) }
}

export function packState(state: IndexState): Buffer {
  // Not from the pool: LMDB is given the address of these bytes.
  const packed = Buffer.alloc(headBytes + state.owner.length)
  magic.copy(packed)
  packed.writeUInt32LE(indexFormatVersion, 8)
  packed.writeUInt32LE(state.position.file, 16)
  packed.writeUInt32LE(state.position.offset, 20)
  writeU64(packed, state.rows, 24)
  writeU64(packed, state.bytes, 32)
  writeU64(packed, state.tombstones, 40)
  packed.writeUInt32LE(state.owner.length, 48)
  state.owner.copy(packed, headBytes)
  packed.writeUInt32LE(checkBytes(packed), 12)
  return packed
}

export function readState(packed: Buffer, path: string): IndexState {
  if (packed.length < headBytes || !packed.subarray(0, 8).equals(magic)) {
    throw new RamcacheError(
      'ERR_RAMCACHE_CORRUPT',
      `${path} is an LMDB file, but not the index of a value log`,
    )
  }
  const formatVersion = packed.readUInt32LE(8)
  if (formatVersion !== indexFormatVersion) {
    throw new RamcacheError(
      'ERR_RAMCACHE_CONFIG',
      `the index ${path} has format version ${formatVersion}, this version of ramcache reads ${indexFormatVersion}`,
    )
  }
  if (
    packed.readUInt32LE(12) !== checkBytes(packed) ||
    packed.length !== headBytes + packed.readUInt32LE(48)
  ) {
    throw new RamcacheError(
      'ERR_RAMCACHE_CORRUPT',
      `the index ${path} has a damaged state; rebuild it from the log`,
    )
  }
  return {
    position: { file: packed.readUInt32LE(16), offset: packed.readUInt32LE(20) },
    rows: readU64(packed, 24),
    bytes: readU64(packed, 32),
    tombstones: readU64(packed, 40),
    owner: Buffer.from(packed.subarray(headBytes)),
  }
}

/** FNV-1a, without the four bytes that hold it. */
function checkBytes(packed: Buffer): number {
  let hash = 0x811c_9dc5
  for (let at = 0; at < packed.length; at++) {
    if (at < 12 || at >= 16) hash = Math.imul(hash ^ (packed[at] as number), 0x0100_0193)
  }
  return hash >>> 0
}
