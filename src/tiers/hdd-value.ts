/**
 * What the LevelDB tier keeps. A value is a head of 24 bytes and the record. Little-endian:
 *
 * ```text
 *  0  u32  zero
 *  4  u32  check       CRC-32 of the key and of everything after this word
 *  8  u64  version
 * 16  u64  expires at  milliseconds since 1970; 0 = never
 * 24  ...  record
 * ```
 *
 * The check is ours because LevelDB, as classic-level opens it, does not look at its own when it reads. The state is
 * part of every batch, so the counts are right whenever the entries are: magic "RCLEVEL\0", u32 format version (1),
 * u32 CRC-32 of the rest, u64 entries, u64 bytes.
 */
import { crc32 } from 'node:zlib'
import { RamcacheError } from '../base/errors.ts'
import { beginsWith } from './keys.ts'
import type { TierEntry } from './tier.ts'
import { readU64, writeU64 } from './u64.ts'

export const headBytes = 24

const stateMagic = Buffer.from('RCLEVEL\0')
const stateBytes = 32
const formatVersion = 1

export interface TierCounts {
  entries: number
  bytes: number
}

export function packValue({ key, record, version, expiresAt }: TierEntry): Buffer {
  const value = Buffer.allocUnsafe(headBytes + record.length)
  value.writeUInt32LE(0, 0)
  value.writeBigUInt64LE(version, 8)
  writeU64(value, expiresAt, 16)
  record.copy(value, headBytes)
  value.writeUInt32LE(checkOf(key, value), 4)
  return value
}

export function isValueSound(key: Buffer, value: Buffer): boolean {
  if (value.length < headBytes || value.readUInt32LE(0) !== 0) return false
  return value.readUInt32LE(4) === checkOf(key, value)
}

export function readHead(value: Buffer): { version: bigint; expiresAt: number } {
  return { version: value.readBigUInt64LE(8), expiresAt: readU64(value, 16) }
}

function checkOf(key: Buffer, value: Buffer): number {
  return crc32(value.subarray(8), crc32(key))
}

export function packState({ entries, bytes }: TierCounts): Buffer {
  const state = Buffer.alloc(stateBytes)
  stateMagic.copy(state)
  state.writeUInt32LE(formatVersion, 8)
  writeU64(state, entries, 16)
  writeU64(state, bytes, 24)
  state.writeUInt32LE(crc32(state.subarray(16)), 12)
  return state
}

export function readState(state: Buffer, path: string): TierCounts {
  const isOurs = state.length >= stateBytes && beginsWith(state, stateMagic)
  if (isOurs && state.readUInt32LE(8) !== formatVersion) {
    throw new RamcacheError(
      'ERR_RAMCACHE_CONFIG',
      `the tier ${path} has format version ${state.readUInt32LE(8)}, this version of ramcache reads ${formatVersion}`,
    )
  }
  const isSound =
    isOurs && state.length === stateBytes && state.readUInt32LE(12) === crc32(state.subarray(16))
  if (!isSound) throw new RamcacheError('ERR_RAMCACHE_CORRUPT', `the tier ${path} has a damaged state`)
  return { entries: readU64(state, 16), bytes: readU64(state, 24) }
}
