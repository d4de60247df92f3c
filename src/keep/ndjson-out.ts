/**
 * The text form of an export: one JSON object a line. What each line may be: `docs/FORMAT.md`.
 *
 * Lines that have `ramcache` are not entries: the first one says what this is, one behind each batch checks the lines
 * before it, the last one says that nothing is missing.
 */
import { crc32 } from 'node:zlib'
import { RamcacheError, show } from '../base/errors.ts'
import { Manifest } from '../codec/blob.ts'
import { byteClassOf } from '../codec/bytes.ts'
import { isWellFormed } from '../codec/key.ts'
import { ValueCodec } from '../codec/value.ts'
import { batchBytes, type Item, type KeptHead, type Packer } from './items.ts'
import { toJson } from './json-value.ts'

export const textVersion = 1
/** A longer value is written packed, as base64: as JSON it might be too long for a line. */
const jsonBytesMax = 4 * 1024 * 1024
/** No line is longer: 64 MiB as base64 and what stands beside it. */
export const lineBytesMax = 96 * 1024 * 1024

export class TextPacker implements Packer {
  readonly #codec = new ValueCodec()
  #lines: Buffer[] = []
  #bytes = 0
  #entries = 0

  begin(): Buffer {
    return control({ ramcache: 'export', version: textVersion })
  }

  add(item: Item): Buffer | undefined {
    const line = Buffer.from(`${JSON.stringify(this.#lineOf(item))}\n`)
    this.#lines.push(line)
    this.#bytes += line.length
    return this.#bytes >= batchBytes ? this.#flush() : undefined
  }

  finish(): Buffer {
    return Buffer.concat([this.#flush(), control({ ramcache: 'end', entries: this.#entries })])
  }

  #flush(): Buffer {
    const lines = Buffer.concat(this.#lines)
    const count = this.#lines.length
    this.#lines = []
    this.#bytes = 0
    if (count === 0) return lines
    const check = { ramcache: 'batch', lines: count, crc32: hex(crc32(lines)) }
    return Buffer.concat([lines, control(check)])
  }

  #lineOf(item: Item): object {
    switch (item.kind) {
      case 'entry':
        this.#entries++
        return { ...headOf(item.head), ...this.#valueOf(item.value, item.size) }
      case 'blob':
        this.#entries++
        return { ...headOf(item.head), type: 'blob', bytes: item.totalBytes }
      case 'chunk':
        return { chunk: item.bytes.toString('base64') }
      case 'end':
        return { end: item.totalBytes }
      case 'lost':
        this.#entries--
        return { lost: true }
    }
  }

  #valueOf(value: unknown, size: number): object {
    if (size <= jsonBytesMax) return { type: typeOf(value), value: toJson(value) }
    const { type, bytes } = this.#codec.encodeSelfContained(value)
    const base64 = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
    return { type: 'packed', valueType: type, value: base64 }
  }
}

/** As `TYPE` of a server would say it. */
export function typeOf(value: unknown): string {
  if (value === null) return 'null'
  if (typeof value !== 'object') return typeof value
  if (Buffer.isBuffer(value)) return 'bytes'
  if (Array.isArray(value)) return 'array'
  if (value instanceof Manifest) throw new RamcacheError('ERR_RAMCACHE_VALUE', `${show(value)} is no value`)
  const prototype = Object.getPrototypeOf(value) as object | null
  return prototype !== null && byteClassOf(prototype) !== undefined ? 'binary' : 'object'
}

function headOf(head: KeptHead): object {
  const text = head.key.toString()
  const isText = isWellFormed(text) && Buffer.from(text).equals(head.key)
  return {
    namespace: head.namespace,
    ...(isText ? { key: text } : { key: head.key.toString('base64'), keyEncoding: 'base64' }),
    version: head.version,
    createdAt: head.createdAt,
    ...(head.expiresAt === 0 ? {} : { expiresAt: head.expiresAt }),
    ...(head.idleMs === 0 ? {} : { idle: head.idleMs }),
    ...(head.deadline === 0 ? {} : { deadline: head.deadline }),
    ...(head.tags.length === 0 ? {} : { tags: head.tags }),
  }
}

function control(fields: object): Buffer {
  return Buffer.from(`${JSON.stringify(fields)}\n`)
}

export function hex(crc: number): string {
  return crc.toString(16).padStart(8, '0')
}
