/**
 * The user cache over any `Cache`. Arguments have been checked (`user-functions.ts`); what each does in the end follows the
 * source of WinCache. Where a change depends on what there is, the store decides it: by its counters, or by versions.
 */
import { systemClock } from '../base/clock.ts'
import { type Cache, type Entry, RamcacheError } from '../index.ts'
import type { Counts } from './counts.ts'
import { countEntries, describe, entriesOf, memoryOf, tagsOf } from './entries.ts'
import { HitCounts } from './hit-counts.ts'
import { isLong, isSameLong, type Long, sumOf } from './longs.ts'
import { type MemoryInfo, rowsOf, type UcacheInfo } from './shapes.ts'
import { type Packed, pack, unpack } from './transfer.ts'

export const userNamespace = 'wincache'

const secondsMax = 10 * 365 * 86_400
/** Each attempt that fails means that somebody else has changed the entry in between. */
const attemptsMax = 1000

/** What `inc` and `cas` find that they do not work with. */
export type Refused = 'absent' | 'not long'

export class UserCache {
  readonly #cache: Cache
  readonly #counts: Counts
  readonly #hits = new HitCounts()

  constructor(cache: Cache, counts: Counts) {
    this.#cache = cache
    this.#counts = counts
  }

  /** `undefined`: there is none. */
  async get(key: string): Promise<Packed | undefined> {
    const value = await this.#cache.get(key)
    this.#counts.add(value === undefined ? 'ucache misses' : 'ucache hits')
    if (value === undefined) return undefined
    this.#hits.add(key)
    return pack(value)
  }

  /** Those that there are. */
  async getMany(keys: readonly string[]): Promise<[string, Packed][]> {
    const found = await this.#cache.getMany(keys)
    this.#counts.add('ucache hits', found.size)
    this.#counts.add('ucache misses', new Set(keys).size - found.size)
    for (const key of found.keys()) this.#hits.add(key)
    return [...found].map(([key, value]) => [key, pack(value)])
  }

  /** All of them at once, or none. */
  async set(entries: readonly (readonly [string, Packed])[], ttlSeconds: number): Promise<void> {
    const values = entries.map(([key, value]) => [key, unpack(value)] as const)
    const [first] = values
    if (values.length === 1 && first !== undefined) await this.#cache.set(...first, writeOptions(ttlSeconds))
    else await this.#cache.setMany(values, writeOptions(ttlSeconds))
    for (const [key] of values) this.#hits.forget(key)
  }

  /** One after the other; whether each was added. */
  async add(entries: readonly (readonly [string, Packed])[], ttlSeconds: number): Promise<boolean[]> {
    const added: boolean[] = []
    for (const [key, value] of entries) {
      const isAdded = await this.#cache.add(key, unpack(value), writeOptions(ttlSeconds))
      if (isAdded) this.#hits.forget(key)
      added.push(isAdded)
    }
    return added
  }

  async cas(key: string, expected: Long, value: Long): Promise<boolean | Refused> {
    return this.#change(key, (current) => (isSameLong(current, expected) ? value : undefined)).then(
      (found) => (typeof found === 'string' ? found : found !== undefined),
    )
  }

  async increment(key: string, by: Long): Promise<Long | Refused> {
    if (typeof by === 'number') {
      try {
        return await this.#cache.incr(key, by)
      } catch (error) {
        if (!(error instanceof RamcacheError) || error.code !== 'ERR_RAMCACHE_NOT_INTEGER') throw error
      }
    }
    // No counter of the store: not there, no integer, or beyond what a double counts.
    return this.#change(key, (current) => sumOf(current, by)) as Promise<Long | Refused>
  }

  /** Stores what `next` makes of the integer there is, its expiry unchanged; `undefined` leaves it as it is. */
  async #change(key: string, next: (current: Long) => Long | undefined): Promise<Long | undefined | Refused> {
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const entry = await this.#cache.getEntry(key)
      if (entry === undefined) return 'absent'
      if (!isLong(entry.value)) return 'not long'
      const value = next(entry.value)
      if (value === undefined) return undefined
      const options = keptOptions(entry)
      if (options === undefined) return 'absent'
      if (await this.#cache.set(key, value, { ...options, ifVersion: entry.version })) return value
    }
    const message = `an entry was changed by others ${attemptsMax} times in a row, which is the limit`
    throw new RamcacheError('ERR_RAMCACHE_CONFLICT', message)
  }

  /** Whether each was there. */
  async delete(keys: readonly string[]): Promise<boolean[]> {
    const deleted: boolean[] = []
    for (const key of keys) {
      deleted.push(await this.#cache.delete(key))
      this.#hits.forget(key)
    }
    return deleted
  }

  exists(key: string): Promise<boolean> {
    return this.#cache.has(key)
  }

  async clear(): Promise<void> {
    await this.#cache.clear()
    this.#hits.clear()
  }

  async info(isSummary: boolean, key?: string): Promise<UcacheInfo> {
    const entries = isSummary ? [] : await entriesOf(this.#cache, key)
    const isWhole = !isSummary && key === undefined
    return {
      total_cache_uptime: (await this.#cache.stats()).uptimeSeconds,
      is_local_cache: false,
      total_item_count: isWhole ? entries.length : await countEntries(this.#cache, userNamespace),
      total_hit_count: await this.#counts.total('ucache hits'),
      total_miss_count: await this.#counts.total('ucache misses'),
      ucache_entries: rowsOf(entries.map((entry) => describe(entry, this.#hits.of(entry.key), false))),
    }
  }

  memory(): Promise<MemoryInfo> {
    return memoryOf(this.#cache)
  }
}

function writeOptions(ttlSeconds: number): { ttl?: number; tags?: string[] } {
  if (ttlSeconds === 0) return {}
  return { ttl: Math.min(ttlSeconds, secondsMax) * 1000, tags: tagsOf(ttlSeconds) }
}

/** Options of a write that leaves an entry's expiry as it is; `undefined` when that has just come. */
function keptOptions({ expiresAt, tags }: Entry): { ttl?: number; tags: readonly string[] } | undefined {
  if (expiresAt === undefined) return { tags }
  const ttl = expiresAt - systemClock.nowMs()
  return ttl < 1 ? undefined : { ttl, tags }
}
