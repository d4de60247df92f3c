/**
 * The binary form of an export: a file header, batches of items (`binary-item.ts`), and an end. Little-endian:
 *
 * ```text
 * file header  8 bytes "RCEXPORT" | u32 version 1 | u32 zero | u64 created at, ms since 1970 | u32 zero | u32 crc
 * batch        u32 "XBAT" | u32 payload bytes | u32 items | u32 number, from 0 | u32 crc of the payload | u32 crc | payload
 * end          the same with "XEND": its payload is u64 entries
 * ```
 *
 * CRCs are CRC-32 (IEEE); the last one of a header is of the header before it.
 */
import { crc32 } from 'node:zlib'
import { systemClock } from '../base/clock.ts'
import { RamcacheError } from '../base/errors.ts'
import { valueBytesMax } from '../codec/bytes.ts'
import { readU64, writeU64 } from '../tiers/u64.ts'
import { itemHeadBytes, packItem, unpackItem } from './binary-item.ts'
import type { BytesIn } from './bytes-in.ts'
import { type Batch, batchBytes, type Item, type Packer } from './items.ts'
import { atPlace, damaged } from './ndjson-in.ts'

export const binaryMagic = Buffer.from('RCEXPORT')
const binaryVersion = 1
const fileHeadBytes = 32
const batchHeadBytes = 24
const batchMagic = 0x5441_4258
const endMagic = 0x444e_4558
/** A batch ends with the item that fills it: name, key, tags and value at their longest. */
const payloadBytesMax = batchBytes + itemHeadBytes + 3 * 0xffff + valueBytesMax

export class BinaryPacker implements Packer {
  #items: Buffer[] = []
  #bytes = 0
  #batches = 0
  #entries = 0

  begin(): Buffer {
    const head = Buffer.alloc(fileHeadBytes)
    binaryMagic.copy(head)
    head.writeUInt32LE(binaryVersion, 8)
    writeU64(head, systemClock.nowMs(), 16)
    return sealed(head)
  }

  add(item: Item): Buffer | undefined {
    const packed = packItem(item)
    this.#items.push(packed)
    this.#bytes += packed.length
    this.#entries += item.kind === 'entry' || item.kind === 'end' ? 1 : 0
    return this.#bytes >= batchBytes ? this.#flush() : undefined
  }

  finish(): Buffer {
    const rest = this.#items.length > 0 ? this.#flush() : Buffer.alloc(0)
    const entries = Buffer.alloc(8)
    writeU64(entries, this.#entries, 0)
    return Buffer.concat([rest, this.#batch(endMagic, entries, 0)])
  }

  #flush(): Buffer {
    const batch = this.#batch(batchMagic, Buffer.concat(this.#items), this.#items.length)
    this.#items = []
    this.#bytes = 0
    return batch
  }

  #batch(magic: number, payload: Buffer, items: number): Buffer {
    const head = Buffer.alloc(batchHeadBytes)
    head.writeUInt32LE(magic, 0)
    head.writeUInt32LE(payload.length, 4)
    head.writeUInt32LE(items, 8)
    head.writeUInt32LE(this.#batches++, 12)
    head.writeUInt32LE(crc32(payload), 16)
    return Buffer.concat([sealed(head), payload])
  }
}

function sealed(head: Buffer): Buffer {
  head.writeUInt32LE(crc32(head.subarray(0, head.length - 4)), head.length - 4)
  return head
}

function isSealed(head: Buffer): boolean {
  return head.readUInt32LE(head.length - 4) === crc32(head.subarray(0, head.length - 4))
}

export async function* readBinary(input: BytesIn): AsyncGenerator<Batch> {
  await readFileHead(input)
  let entries = 0
  for (let number = 0; ; number++) {
    const place = `offset ${input.offset}`
    const head = await takeAll(input, batchHeadBytes, 'a batch, or the end of the export')
    const magic = head.readUInt32LE(0)
    if (!isSealed(head) || (magic !== batchMagic && magic !== endMagic)) {
      throw damaged(place, 'what lies here is no batch of an export, or a damaged one')
    }
    if (head.readUInt32LE(12) !== number) {
      throw damaged(place, `this is batch ${head.readUInt32LE(12)}, and batch ${number} should be here`)
    }
    const bytes = head.readUInt32LE(4)
    if (bytes > payloadBytesMax) {
      throw damaged(place, `a batch has ${bytes} bytes, the limit is ${payloadBytesMax}`)
    }
    const payload = await takeAll(input, bytes, 'the rest of a batch')
    if (head.readUInt32LE(16) !== crc32(payload)) {
      throw damaged(place, 'the checksum of the batch does not match: nothing of it was imported')
    }
    if (magic === endMagic) {
      await checkEnd(input, payload, entries, place)
      return
    }
    const batch = await atPlace(place, () => unpackBatch(payload, head.readUInt32LE(8), place))
    for (const { kind } of batch.items) entries += kind === 'entry' || kind === 'end' ? 1 : 0
    yield batch
  }
}

async function readFileHead(input: BytesIn): Promise<void> {
  const head = await takeAll(input, fileHeadBytes, 'the header of an export')
  if (!head.subarray(0, 8).equals(binaryMagic)) throw damaged('offset 0', 'this is not an export of ramcache')
  if (!isSealed(head)) throw damaged('offset 0', 'the header of the export is damaged')
  const version = head.readUInt32LE(8)
  if (version === binaryVersion) return
  throw damaged(
    'offset 0',
    `the export has format version ${version}, this version of ramcache reads ${binaryVersion}`,
  )
}

async function takeAll(input: BytesIn, bytes: number, what: string): Promise<Buffer> {
  const { offset } = input
  const taken = await input.take(bytes)
  if (taken.length === bytes) return taken
  throw damaged(`offset ${offset + taken.length}`, `the export ends here, and ${what} is missing`)
}

async function checkEnd(input: BytesIn, payload: Buffer, entries: number, place: string): Promise<void> {
  if (payload.length !== 8) throw damaged(place, `the end of the export has ${payload.length} bytes, not 8`)
  const expected = readU64(payload, 0)
  if (expected !== entries) throw damaged(place, `${entries} entries have come, not ${expected}`)
  const { offset } = input
  if ((await input.take(1)).length > 0)
    throw damaged(`offset ${offset}`, 'there are bytes behind the end of the export')
}

function unpackBatch(payload: Buffer, count: number, place: string): Batch {
  const items: Item[] = []
  const places: string[] = []
  for (let at = 0; at < payload.length; ) {
    const { item, next } = unpackItem(payload, at)
    items.push(item)
    places.push(`${place}, item ${items.length}`)
    at = next
  }
  if (items.length !== count)
    throw new RamcacheError('ERR_RAMCACHE_CORRUPT', `it has ${items.length} items, not ${count}`)
  return { items, places, place }
}
