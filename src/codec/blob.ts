/**
 * Bytes of a blob: a value of any length that lies in chunks.
 *
 * The user's key holds the *manifest*, which names an id; the chunks lie under (id, number) in a namespace of the
 * store's own. An id is never used twice, so what is under it never changes: who holds a manifest reads one content.
 *
 * ```text
 * manifest     u8 version 1 | 16 id | u64 bytes | u32 chunk bytes | u32 chunks
 * blob record  u8 version 1 | u8 suspected | u32 chunks | u8 name bytes | name of the namespace | key
 * ```
 *
 * The blob record, under the id, is what the sweep goes by. There are no checksums: RAM is validated by generations, a
 * tier below checks each record it reads, and a chunk cannot be mistaken for another one's, because its key is random
 * and its length known.
 */
import { RamcacheError } from '../base/errors.ts'
import { fastBuffer, valueBytesMax } from './bytes.ts'

/** Of an encoded manifest, always. */
export const manifestBytes = 33
const version = 1

export interface BlobShape {
  /** 128 random bits, as 32 hexadecimal digits. */
  readonly id: string
  readonly totalBytes: number
  /** Of each chunk but the last, which has the rest. */
  readonly chunkBytes: number
}

/** A class of its own, so that no value of a user is taken for one. */
export class Manifest implements BlobShape {
  readonly id: string
  readonly totalBytes: number
  readonly chunkBytes: number

  constructor({ id, totalBytes, chunkBytes }: BlobShape) {
    this.id = id
    this.totalBytes = totalBytes
    this.chunkBytes = chunkBytes
  }

  get chunkCount(): number {
    return Math.ceil(this.totalBytes / this.chunkBytes)
  }

  /** Bytes that chunk `number` must have. */
  bytesOf(number: number): number {
    return Math.min(this.chunkBytes, this.totalBytes - number * this.chunkBytes)
  }
}

export function encodeManifest(manifest: Manifest): Buffer {
  const bytes = Buffer.alloc(manifestBytes)
  bytes[0] = version
  bytes.write(manifest.id, 1, 'hex')
  bytes.writeBigUInt64LE(BigInt(manifest.totalBytes), 17)
  bytes.writeUInt32LE(manifest.chunkBytes, 25)
  bytes.writeUInt32LE(manifest.chunkCount, 29)
  return bytes
}

/** Throws ERR_RAMCACHE_CORRUPT. */
export function decodeManifest(source: Uint8Array): Manifest {
  const bytes = fastBuffer(source)
  if (bytes[0] !== version) throw corrupt(`is of version ${bytes[0]}, known is ${version}`)
  if (bytes.length !== manifestBytes) throw corrupt(`has ${bytes.length} bytes, not ${manifestBytes}`)
  const totalBytes = bytes.readBigUInt64LE(17)
  const chunkBytes = bytes.readUInt32LE(25)
  if (totalBytes > BigInt(Number.MAX_SAFE_INTEGER)) throw corrupt(`promises ${totalBytes} bytes`)
  if (chunkBytes === 0 || chunkBytes > valueBytesMax) throw corrupt(`has chunks of ${chunkBytes} bytes`)
  const id = bytes.toString('hex', 1, 17)
  const manifest = new Manifest({ id, totalBytes: Number(totalBytes), chunkBytes })
  const chunkCount = bytes.readUInt32LE(29)
  if (manifest.chunkCount !== chunkCount) {
    throw corrupt(`has ${chunkCount} chunks of ${chunkBytes} bytes for ${totalBytes} bytes`)
  }
  return manifest
}

/** Chunks that a blob can have: their count is a u32. */
export const chunkCountMax = 2 ** 32 - 1

export function chunkKey(id: string, number: number): string {
  return `${id}/${number}`
}

/** What the store knows of an id, published or not. */
export interface BlobRecord {
  /** No manifest led to it when it was last looked at. */
  readonly isSuspected: boolean
  /** There are no chunks from this number on. */
  readonly chunkCount: number
  readonly namespace: string
  /** As UTF-8, whatever it was given as. */
  readonly key: Uint8Array
}

export function encodeRecord(record: BlobRecord): Buffer {
  const name = Buffer.from(record.namespace)
  const bytes = Buffer.alloc(7 + name.length + record.key.length)
  bytes[0] = version
  bytes[1] = record.isSuspected ? 1 : 0
  bytes.writeUInt32LE(record.chunkCount, 2)
  bytes[6] = name.length
  bytes.set(name, 7)
  bytes.set(record.key, 7 + name.length)
  return bytes
}

/** Throws ERR_RAMCACHE_CORRUPT. */
export function decodeRecord(source: Uint8Array): BlobRecord {
  const bytes = fastBuffer(source)
  const keyAt = 7 + (bytes[6] ?? 0)
  if (bytes[0] !== version || bytes.length <= keyAt) throw corrupt('has a record that cannot be read')
  return {
    isSuspected: bytes[1] === 1,
    chunkCount: bytes.readUInt32LE(2),
    namespace: bytes.toString('utf8', 7, keyAt),
    key: bytes.subarray(keyAt),
  }
}

function corrupt(what: string): RamcacheError {
  return new RamcacheError('ERR_RAMCACHE_CORRUPT', `a blob ${what}`)
}
