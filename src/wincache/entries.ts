/** What the user cache and the session cache say of themselves: entries of a namespace, and its share of memory. */
import { systemClock } from '../base/clock.ts'
import type { Cache, Entry, EntryInfo } from '../index.ts'
import { isLong } from './longs.ts'
import type { CacheEntryInfo, MemoryInfo } from './shapes.ts'

/** Stands for the empty key, which arrays of WinCache may have and a store may not; no other key can hold a NUL. */
export const emptyKey = '\0'

const ttlTag = 'ttl:'

/** Says how long an entry was to live: what is left of it is known by its expiry alone, and `inc` makes a new record. */
export function tagsOf(ttlSeconds: number): string[] {
  return ttlSeconds === 0 ? [] : [`${ttlTag}${ttlSeconds}`]
}

function ttlSecondsOf({ tags, createdAt, expiresAt }: EntryInfo): number {
  const tag = tags.find((text) => text.startsWith(ttlTag))
  if (tag !== undefined) return Number(tag.slice(ttlTag.length))
  // Somebody else has written it.
  return expiresAt === undefined ? 0 : Math.round((expiresAt - createdAt) / 1000)
}

/** The word of PHP for a value. */
export function typeOf(value: unknown): string {
  if (value === null) return 'null'
  if (isLong(value)) return 'long'
  if (typeof value === 'boolean') return 'bool'
  if (typeof value === 'number') return 'double'
  if (typeof value === 'string' || ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return 'string'
  return Array.isArray(value) ? 'array' : 'object'
}

export function describe(entry: Entry, hitcount: number, isSession: boolean): CacheEntryInfo {
  const { key, value, size, createdAt, isBlob } = entry
  return {
    key_name: key === emptyKey ? '' : key,
    value_type: isBlob ? 'string' : typeOf(value),
    value_size: isBlob ? size : size - Buffer.byteLength(key),
    is_session: isSession,
    ttl_seconds: ttlSecondsOf(entry),
    age_seconds: Math.max(0, Math.floor((systemClock.nowMs() - createdAt) / 1000)),
    hitcount,
  }
}

/** All entries, or the one of a key. What goes while they are walked is left out. */
export async function entriesOf(cache: Cache, key?: string): Promise<Entry[]> {
  const entries: Entry[] = []
  if (key !== undefined) {
    const entry = await cache.getEntry(key)
    if (entry !== undefined) entries.push(entry)
    return entries
  }
  for await (const { key: found } of cache.scan()) {
    const entry = await cache.getEntry(found)
    if (entry !== undefined) entries.push(entry)
  }
  return entries
}

/** How many there are, in all tiers; in RAM alone those that have expired count until they are removed. */
export async function countEntries(cache: Cache, namespace: string): Promise<number> {
  const { tiers, namespaces } = await cache.stats()
  if (tiers.ssd.entries + tiers.hdd.entries === 0) return namespaces[namespace]?.entries ?? 0
  let count = 0
  for await (const _ of cache.scan()) count++
  return count
}

/** Of the whole store: it has one budget for everything in it. */
export async function memoryOf(cache: Cache): Promise<MemoryInfo> {
  const { entries, bytes, budgetBytes, overheadBytes } = (await cache.stats()).tiers.ram
  return {
    memory_total: budgetBytes,
    memory_free: Math.max(0, budgetBytes - bytes - overheadBytes),
    num_used_blks: entries,
    num_free_blks: 0,
    memory_overhead: overheadBytes,
  }
}
