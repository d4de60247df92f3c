/**
 * `ramcache/next`: a cache handler for Next.js, the class that `cacheHandler` of next.config names.
 *
 * Each entry remembers when it was made and its tags; each tag that was revalidated has a mark with the time of that. An entry
 * is gone, or stale, when a mark of one of its tags is not older than itself. Marks are pinned (by the owner of the store): one
 * that was evicted would bring entries back. They end later than all entries that they can speak of.
 */
import { systemClock } from '../base/clock.ts'
import { RamcacheError, show } from '../base/errors.ts'
import { checkFields, configError } from '../config/fields.ts'
import type { Cache } from '../index.ts'
import { checkCache, checkText, storableTtl } from './checks.ts'
import { boundedName } from './keys.ts'

export interface NextCacheOptions {
  /** What keys begin with, one for each build: pages of one build name files of it. Default: nothing. */
  keyPrefix?: string
  /** Told why something could not be read; for Next it is not there. */
  errorCallback?: (error: Error) => void
}

/** What Next gives to the constructor, as far as it matters here. */
export interface NextCacheContext {
  revalidatedTags?: string[]
}

/** What Next stores: pages, routes, answers of fetch, images. Null: known not to be there. */
// biome-ignore lint/suspicious/noExplicitAny: Next has a type for each kind, which changes with its versions.
export type NextCacheValue = any

export interface NextCacheEntry {
  /** Milliseconds since 1970; -1: stale, to be made anew while it is still served. */
  lastModified: number
  value: NextCacheValue
}

export interface NextGetContext {
  tags?: string[]
  softTags?: string[]
}

export interface NextSetContext {
  tags?: string[]
  /** Seconds. */
  cacheControl?: { revalidate?: number | false; expire?: number }
}

export interface NextCacheHandler {
  get(key: string, context?: NextGetContext): Promise<NextCacheEntry | null>
  set(key: string, value: NextCacheValue, context?: NextSetContext): Promise<void>
  /** With `durations`, as of Next 16, entries are stale at first, and gone after `expire` seconds. */
  revalidateTag(tags: string | string[], durations?: { expire?: number }): Promise<void>
  resetRequestCache(): void
}

interface Stored {
  readonly lastModified: number
  readonly tags: readonly string[]
  readonly value: NextCacheValue
}

/** Times of a tag. Entries that are not younger than `expired` are gone. */
interface Mark {
  readonly expired?: number
  /** Entries that are not younger than `at` are stale, and gone from `until` on. */
  readonly stale?: { readonly at: number; readonly until?: number }
}

const where = 'the cache handler of Next'
const tagsHeader = 'x-next-cache-tags'

/** What Next takes for ever. No entry is kept longer, so that marks can end. */
const entryMsMax = 365 * 86_400_000

/** Times that a mark is tried to be changed beside other processes. */
const attemptsMax = 20

/** The class for `cacheHandler`, which Next makes an instance of for each request. */
export function cacheHandler(
  cache: Cache,
  options: NextCacheOptions = {},
): new (
  context?: NextCacheContext,
) => NextCacheHandler {
  checkCache(cache, where)
  checkFields(options, where, ['keyPrefix', 'errorCallback'])
  const { errorCallback = () => {} }: NextCacheOptions = options
  if (typeof errorCallback !== 'function') {
    throw configError(`errorCallback of ${where} must be a function, not ${show(errorCallback)}`)
  }
  const prefix = checkText(options.keyPrefix, 'keyPrefix', where) ?? ''
  const marks = new Marks(cache.namespace('next-tags', { pin: true }))
  const keyOf = (key: string) => `next:${boundedName(prefix + key)}`

  return class RamcacheHandler implements NextCacheHandler {
    readonly #revalidatedTags: readonly string[]

    constructor(context?: NextCacheContext) {
      this.#revalidatedTags = context?.revalidatedTags ?? []
    }

    async get(key: string, { tags = [], softTags = [] }: NextGetContext = {}) {
      try {
        const stored = await cache.get<Stored>(keyOf(key))
        if (stored === undefined) return null
        const all = [...stored.tags, ...tags, ...softTags]
        if (stored.value?.kind === 'FETCH' && all.some((tag) => this.#revalidatedTags.includes(tag)))
          return null
        const state = await marks.stateOf(all, stored.lastModified)
        if (state === 'gone') return null
        return { lastModified: state === 'stale' ? -1 : stored.lastModified, value: stored.value }
      } catch (error) {
        errorCallback(error as Error)
        return null
      }
    }

    async set(key: string, value: NextCacheValue, { tags = [], cacheControl }: NextSetContext = {}) {
      const all = [...new Set([...tags, ...tagsOf(value)])]
      // What is made after a mark counts as younger, within a millisecond and over a clock that was set back, too.
      const lastModified = Math.max(systemClock.nowMs(), (await marks.latest(all)) + 1)
      const expireMs = typeof cacheControl?.expire === 'number' ? cacheControl.expire * 1000 : entryMsMax
      const ttl = storableTtl(Math.min(expireMs, entryMsMax))
      if (ttl === undefined) await cache.delete(keyOf(key))
      else await cache.set(keyOf(key), storable({ lastModified, tags: all, value }), { ttl })
    }

    async revalidateTag(tags: string | string[], durations?: { expire?: number }) {
      for (const tag of new Set([tags].flat())) await marks.revalidate(tag, durations)
    }

    /** Nothing is kept for a request alone. */
    resetRequestCache(): void {}
  }
}

export default cacheHandler

class Marks {
  readonly #cache: Cache

  constructor(cache: Cache) {
    this.#cache = cache
  }

  async stateOf(tags: readonly string[], lastModified: number): Promise<'gone' | 'stale' | 'fresh'> {
    const now = systemClock.nowMs()
    let state: 'stale' | 'fresh' = 'fresh'
    for (const { expired, stale } of await this.#read(tags)) {
      if (expired !== undefined && expired >= lastModified) return 'gone'
      if (stale === undefined || stale.at < lastModified) continue
      if (stale.until !== undefined && stale.until <= now) return 'gone'
      state = 'stale'
    }
    return state
  }

  /** Time of the youngest mark; 0 when there is none. */
  async latest(tags: readonly string[]): Promise<number> {
    const times = (await this.#read(tags)).flatMap(({ expired = 0, stale }) => [expired, stale?.at ?? 0])
    return Math.max(0, ...times)
  }

  async revalidate(tag: string, durations?: { expire?: number }): Promise<void> {
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const entry = await this.#cache.getEntry<Mark>(boundedName(tag))
      const mark = changed(entry?.value ?? {}, systemClock.nowMs(), durations)
      const untilMs = mark.stale?.until === undefined ? 0 : mark.stale.until - systemClock.nowMs()
      const ttl = storableTtl(entryMsMax + 86_400_000 + Math.max(0, untilMs))
      const condition = entry === undefined ? { ifAbsent: true } : { ifVersion: entry.version }
      const written = await this.#cache.set(boundedName(tag), mark, {
        ...(ttl === undefined ? {} : { ttl }),
        ...condition,
      })
      if (written !== undefined) return
    }
    throw new RamcacheError(
      'ERR_RAMCACHE_CONFLICT',
      `the tag ${show(tag)} was changed by others at each of ${attemptsMax} attempts`,
    )
  }

  async #read(tags: readonly string[]): Promise<Mark[]> {
    if (tags.length === 0) return []
    const found = await this.#cache.getMany<Mark>(tags.map(boundedName))
    return [...found.values()]
  }
}

function changed({ expired, stale }: Mark, now: number, durations?: { expire?: number }): Mark {
  // A clock that was set back does not make a mark older.
  if (durations === undefined) {
    return { expired: Math.max(now, expired ?? 0), ...(stale === undefined ? {} : { stale }) }
  }
  const ends = typeof durations.expire === 'number' ? now + durations.expire * 1000 : undefined
  // Entries that an earlier call has given less time keep it.
  const until = Math.min(ends ?? Infinity, stale?.until ?? Infinity)
  return {
    ...(expired === undefined ? {} : { expired }),
    stale: { at: Math.max(now, stale?.at ?? 0), ...(until === Infinity ? {} : { until }) },
  }
}

/** Those that the value itself names. */
function tagsOf(value: NextCacheValue): string[] {
  if (value?.kind === 'FETCH') return Array.isArray(value.tags) ? value.tags : []
  const header = value?.headers?.[tagsHeader]
  return typeof header === 'string' && header !== '' ? header.split(',') : []
}

/** Without members that are undefined, which no store can hold and Next has many of. */
function storable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => storable(item ?? null))
  if (value instanceof Map) return new Map([...value].map(([key, item]) => [key, storable(item ?? null)]))
  if (typeof value !== 'object' || value === null) return value
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return value
  const kept = Object.entries(value).filter(([, item]) => item !== undefined)
  return Object.fromEntries(kept.map(([name, item]) => [name, storable(item)]))
}
