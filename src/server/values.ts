/** Values that are no strings to Redis, as its clients see them. */
import { RamcacheError } from '../base/errors.ts'
import type { Cache, Entry } from '../cache/types.ts'
import { toJson } from '../keep/json-value.ts'
import { Failure } from './replies.ts'

/** Longest value that goes out in one piece. */
export const bulkBytesMax = 64 * 1024 * 1024

/** The bytes of a value; `undefined` for nothing. Throws a `Failure` for a blob that is too long. */
export async function bytesOf(cache: Cache, key: Buffer): Promise<Uint8Array | undefined> {
  const entry = await cache.getEntry(key)
  if (entry === undefined) return undefined
  if (entry.isBlob !== true) return textOf(entry.value)
  if (entry.size > bulkBytesMax) {
    const limit = `proto-max-bulk-len (${bulkBytesMax})`
    throw new Failure(`ERR the blob has ${entry.size} bytes, above ${limit}: read it with GETRANGE`)
  }
  return entry.size === 0 ? Buffer.alloc(0) : rangeOf(cache, key, 0, entry.size - 1)
}

export function textOf(value: unknown): Uint8Array {
  if (typeof value === 'string') return Buffer.from(value)
  if (Buffer.isBuffer(value)) return value
  if (typeof value === 'number') return Buffer.from(String(value))
  return Buffer.from(JSON.stringify(toJson(value)))
}

/** Bytes of a blob, the last one included. */
export async function rangeOf(cache: Cache, key: Buffer, start: number, end: number): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of await cache.createReadStream(key, { start, end })) parts.push(part as Buffer)
  return Buffer.concat(parts)
}

/** How many bytes a client would get. */
export async function lengthOf(cache: Cache, key: Buffer): Promise<number> {
  const entry = await cache.getEntry(key)
  if (entry === undefined) return 0
  return entry.isBlob === true ? entry.size : textOf(entry.value).length
}

/** Never the name of a collection of Redis: tools would ask for its members. */
export function typeOf(entry: Entry | undefined): string {
  if (entry === undefined) return 'none'
  if (entry.isBlob === true) return 'blob'
  const { value } = entry
  if (typeof value === 'string' || typeof value === 'number' || Buffer.isBuffer(value)) return 'string'
  return Array.isArray(value) ? 'array' : 'object'
}

/** A cache of a namespace by its full name. */
export function namespaceOf(cache: Cache, name: string): Cache {
  if (name === 'default') return cache
  if (name.startsWith(' ')) {
    throw new RamcacheError('ERR_RAMCACHE_CONFIG', 'this namespace is for the store itself')
  }
  return name.split('/').reduce((outer: Cache, part) => outer.namespace(part), cache)
}
