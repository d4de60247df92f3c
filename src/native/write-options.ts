/** Options of a write on their way into the control words. */
import { RamcacheError, show } from '../base/errors.ts'
import type { WriteOptions } from './engine.ts'
import { Control, control, Flag, scratch } from './scratch.ts'

/** Bytes of one tag, and of all tags of an entry with a length byte each; see `TAGS_BYTES_MAX` in the core. */
const TAG_BYTES_MAX = 255
const TAGS_BYTES_MAX = 1024

/** Sets the control words for the next native write, which resets them. */
export function putOptions(options: WriteOptions): void {
  let flags = 0
  if (options.ttlMs !== undefined) {
    flags |= Flag.ttl
    control[Control.ttl] = options.ttlMs
  }
  if (options.idleMs !== undefined) {
    flags |= Flag.idle
    control[Control.idle] = options.idleMs
  }
  if (options.durability === 'none') flags |= Flag.volatile
  if (options.expiresAt !== undefined) {
    flags |= Flag.expiresAt
    control[Control.expiresAt] = options.expiresAt
    control[Control.deadline] = options.deadline ?? 0
  }
  if (options.graceMs !== undefined) {
    flags |= Flag.grace
    control[Control.grace] = options.graceMs
  }
  if (options.lease !== undefined) {
    flags |= Flag.lease
    const [high, low] = tokenWords(options.lease)
    control[Control.leaseHigh] = high
    control[Control.leaseLow] = low
  }
  if (options.ifAbsent === true) flags |= Flag.ifAbsent
  if (options.ifPresent === true) flags |= Flag.ifPresent
  if (options.ifVersion !== undefined) {
    putVersion(options.ifVersion)
    flags |= Flag.ifVersion
  }
  if (options.tags !== undefined && options.tags.length > 0) {
    putTags(options.tags)
    flags |= Flag.tags
  }
  control[Control.flags] = flags
}

/** Puts a version where a conditional write looks for it. Throws ERR_RAMCACHE_CONFIG. */
export function putVersion(version: string): void {
  if (!/^[0-9a-f]{16}-[0-9a-f]{16}$/.test(version)) {
    throw new RamcacheError(
      'ERR_RAMCACHE_CONFIG',
      `ifVersion ${show(version)} is not a version of this store`,
    )
  }
  const word = (from: number) => Number.parseInt(version.slice(from, from + 8), 16)
  control[Control.clockHigh] = word(0)
  control[Control.clockLow] = word(8)
  control[Control.originHigh] = word(17)
  control[Control.originLow] = word(25)
}

/** The token of a lease as two halves. */
export function tokenWords(token: string): [high: number, low: number] {
  return [Number.parseInt(token.slice(0, 8), 16), Number.parseInt(token.slice(8), 16)]
}

/** Each of an entry's tags as bytes. Throws ERR_RAMCACHE_CONFIG. */
export function tagBytes(tags: readonly string[]): Buffer[] {
  const encoded = eachTagBytes(tags)
  const total = encoded.reduce((sum, bytes) => sum + 1 + bytes.length, 0)
  if (total > TAGS_BYTES_MAX) {
    const message = `${tags.length} tags take ${total} bytes with one more for each, the limit is ${TAGS_BYTES_MAX}`
    throw new RamcacheError('ERR_RAMCACHE_CONFIG', message)
  }
  return encoded
}

function eachTagBytes(tags: readonly string[]): Buffer[] {
  const encoded = tags.map((tag) => Buffer.from(tag))
  for (const [index, bytes] of encoded.entries()) {
    if (bytes.length === 0 || bytes.length > TAG_BYTES_MAX) {
      const message = `tag ${show(tags[index])} has ${bytes.length} bytes, allowed are 1 to ${TAG_BYTES_MAX}`
      throw new RamcacheError('ERR_RAMCACHE_CONFIG', message)
    }
  }
  return encoded
}

/** Tags as those of an entry are encoded, however many. Throws ERR_RAMCACHE_CONFIG. */
export function encodeTags(tags: readonly string[]): Buffer {
  return Buffer.concat(eachTagBytes(tags).flatMap((bytes) => [Buffer.of(bytes.length), bytes]))
}

function putTags(tags: readonly string[]): void {
  const encoded = tagBytes(tags)
  const total = encoded.reduce((sum, bytes) => sum + 1 + bytes.length, 0)
  let at = scratch.length - total
  for (const bytes of encoded) {
    scratch[at] = bytes.length
    scratch.set(bytes, at + 1)
    at += 1 + bytes.length
  }
  control[Control.tags] = total
}

/** The tags of an entry out of their encoded form. */
export function decodeTags(bytes: Buffer): string[] {
  const tags: string[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + (bytes[at] as number)
    tags.push(bytes.toString('utf8', at + 1, end))
    at = end
  }
  return tags
}
