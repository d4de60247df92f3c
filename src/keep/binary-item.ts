/**
 * One item of the binary form. A head of 56 bytes, then namespace, key, tags, value; little-endian:
 *
 * ```text
 *  0  u8   kind        1 entry, 2 blob, 3 chunk, 4 end of a blob, 5 blob lost
 *  1  u8   value type  of an entry (`src/codec/bytes.ts`), never 8 or 11; else 0
 *  2  u16  bytes of the namespace's name     4  u16  bytes of the key     6  u16  bytes of the tags
 *  8  u32  bytes of the value: of a chunk its bytes, of a blob and its end 8, the length of the blob as u64
 * 12  u32  idle ms     16  u64  expires at    24  u64  deadline    32  u64  created at    40  u64 clock  48  u64 origin
 * ```
 *
 * Tags: for each a length byte and its bytes. Kinds 3, 4 and 5 have zeros but for the lengths.
 */
import { RamcacheError } from '../base/errors.ts'
import { ValueType } from '../codec/bytes.ts'
import { ValueCodec } from '../codec/value.ts'
import { decodeTags } from '../native/write-options.ts'
import { readU64, writeU64 } from '../tiers/u64.ts'
import type { Item, KeptHead } from './items.ts'

export const itemHeadBytes = 56
const kinds = { entry: 1, blob: 2, chunk: 3, end: 4, lost: 5 } as const
const noBytes = Buffer.alloc(0)
const codec = new ValueCodec()

export function packItem(item: Item): Buffer {
  const { type, bytes } = encodedOf(item)
  const head = Buffer.alloc(itemHeadBytes)
  head[0] = kinds[item.kind]
  head[1] = type
  head.writeUInt32LE(bytes.length, 8)
  if (item.kind !== 'entry' && item.kind !== 'blob') return Buffer.concat([head, bytes])
  const { head: kept } = item
  const name = Buffer.from(kept.namespace)
  const tags = packTags(kept.tags)
  head.writeUInt16LE(name.length, 2)
  head.writeUInt16LE(kept.key.length, 4)
  head.writeUInt16LE(tags.length, 6)
  head.writeUInt32LE(kept.idleMs, 12)
  writeU64(head, kept.expiresAt, 16)
  writeU64(head, kept.deadline, 24)
  writeU64(head, kept.createdAt, 32)
  const [clock = '0', origin = '0'] = kept.version.split('-')
  head.writeBigUInt64LE(BigInt(`0x${clock}`), 40)
  head.writeBigUInt64LE(BigInt(`0x${origin}`), 48)
  return Buffer.concat([head, name, kept.key, tags, bytes])
}

function encodedOf(item: Item): { type: number; bytes: Uint8Array } {
  switch (item.kind) {
    case 'entry':
      return codec.encodeSelfContained(item.value)
    case 'chunk':
      return { type: 0, bytes: item.bytes }
    case 'lost':
      return { type: 0, bytes: noBytes }
    default: {
      const bytes = Buffer.alloc(8)
      writeU64(bytes, item.totalBytes, 0)
      return { type: 0, bytes }
    }
  }
}

function packTags(tags: readonly string[]): Buffer {
  return Buffer.concat(
    tags.flatMap((tag) => {
      const bytes = Buffer.from(tag)
      return [Buffer.of(bytes.length), bytes]
    }),
  )
}

/** The item that begins at `at`, and where the next one does. Throws ERR_RAMCACHE_CORRUPT. */
export function unpackItem(payload: Buffer, at: number): { item: Item; next: number } {
  if (at + itemHeadBytes > payload.length) throw corrupt('an item reaches past the end of its batch')
  const kind = payload[at]
  const type = payload[at + 1] as number
  const nameAt = at + itemHeadBytes
  const keyAt = nameAt + payload.readUInt16LE(at + 2)
  const tagsAt = keyAt + payload.readUInt16LE(at + 4)
  const valueAt = tagsAt + payload.readUInt16LE(at + 6)
  const next = valueAt + payload.readUInt32LE(at + 8)
  if (next > payload.length) throw corrupt('an item reaches past the end of its batch')
  if (kind === kinds.lost) return { item: { kind: 'lost' }, next }
  // A copy: the batch goes while the bytes are on their way.
  if (kind === kinds.chunk)
    return { item: { kind: 'chunk', bytes: Buffer.from(payload.subarray(valueAt, next)) }, next }
  if (kind === kinds.end) return { item: { kind: 'end', totalBytes: lengthAt(payload, valueAt, next) }, next }
  const head: KeptHead = {
    namespace: payload.toString('latin1', nameAt, keyAt),
    key: Buffer.from(payload.subarray(keyAt, tagsAt)),
    tags: tagsIn(payload.subarray(tagsAt, valueAt)),
    idleMs: payload.readUInt32LE(at + 12),
    expiresAt: timeAt(payload, at + 16),
    deadline: timeAt(payload, at + 24),
    createdAt: timeAt(payload, at + 32),
    version: `${wordAt(payload, at + 40)}-${wordAt(payload, at + 48)}`,
  }
  if (kind === kinds.blob)
    return { item: { kind: 'blob', head, totalBytes: lengthAt(payload, valueAt, next) }, next }
  if (kind !== kinds.entry) throw corrupt(`there is no item of kind ${kind}`)
  if (type === ValueType.sharedObject || type === ValueType.blob) {
    throw corrupt(`a value of type ${type} does not stand alone`)
  }
  return {
    item: { kind: 'entry', head, value: codec.decode(type, payload, valueAt, next), size: next - valueAt },
    next,
  }
}

function tagsIn(bytes: Buffer): string[] {
  for (let at = 0; at < bytes.length; at += 1 + (bytes[at] as number)) {
    if (at + 1 + (bytes[at] as number) > bytes.length)
      throw corrupt('the tags of an entry reach past their end')
  }
  return decodeTags(bytes)
}

function lengthAt(payload: Buffer, at: number, end: number): number {
  if (end - at !== 8) throw corrupt(`the length of a blob has ${end - at} bytes`)
  return timeAt(payload, at)
}

/** A u64 that JavaScript can count. */
function timeAt(payload: Buffer, at: number): number {
  const value = readU64(payload, at)
  if (!Number.isSafeInteger(value)) throw corrupt(`the number ${value} is out of range`)
  return value
}

function wordAt(payload: Buffer, at: number): string {
  return payload.readBigUInt64LE(at).toString(16).padStart(16, '0')
}

function corrupt(what: string): RamcacheError {
  return new RamcacheError('ERR_RAMCACHE_CORRUPT', what)
}
