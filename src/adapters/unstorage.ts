/**
 * `ramcache/unstorage`: a driver for unstorage. Items are strings as unstorage makes them; raw items are whatever a cache can
 * hold, bytes above all, and come back as they were.
 */
import { systemClock } from '../base/clock.ts'
import { show } from '../base/errors.ts'
import { checkFields, configError } from '../config/fields.ts'
import type { Cache } from '../index.ts'
import { checkCache, checkText } from './checks.ts'
import { type Lifetime, lifetimeOf, writeMany, writeOne } from './writes.ts'

export interface RamcacheDriverOptions {
  /** What keys begin with, and a `:`. Default: nothing. Without it, `clear()` empties the whole namespace, at once. */
  base?: string
  /** Seconds, as with other drivers, that items stay which are set without a `ttl`. Default: as the namespace says. */
  ttl?: number
}

/** Options of a call, of which only `ttl`, in seconds, is looked at. */
// biome-ignore lint/suspicious/noExplicitAny: so it is in unstorage.
type CallOptions = Record<string, any>

// biome-ignore lint/suspicious/noExplicitAny: unstorage calls them null, string, number, boolean or object.
type Stored = any

export interface RamcacheDriver {
  readonly name: 'ramcache'
  readonly flags: { readonly ttl: true }
  readonly options: RamcacheDriverOptions
  getInstance(): Cache
  hasItem(key: string): Promise<boolean>
  /** Null when there is none. */
  getItem(key: string): Promise<Stored>
  getItems(items: { key: string }[]): Promise<{ key: string; value: Stored }[]>
  getItemRaw(key: string): Promise<Stored>
  setItem(key: string, value: string, options?: CallOptions): Promise<void>
  /** Those with the same `ttl` are stored as a group: all of them or none. */
  setItems(
    items: { key: string; value: string; options?: CallOptions }[],
    options?: CallOptions,
  ): Promise<void>
  setItemRaw(key: string, value: unknown, options?: CallOptions): Promise<void>
  removeItem(key: string): Promise<void>
  /** When it was written, its bytes with those of its key, and the seconds it has left where it ends by itself. */
  getMeta(key: string): Promise<{ mtime: Date; size: number; ttl?: number } | null>
  getKeys(base?: string): Promise<string[]>
  clear(base?: string): Promise<void>
  /** The cache belongs to whoever opened it, and stays open. */
  dispose(): void
}

const where = 'the unstorage driver'

/** Keys that are removed together where all are. */
const pageKeys = 100

export function ramcacheDriver(cache: Cache, options: RamcacheDriverOptions = {}): RamcacheDriver {
  checkCache(cache, where)
  checkFields(options, where, ['base', 'ttl'])
  const base = (checkText(options.base, 'base', where) ?? '').replace(/:+$/, '')
  const prefix = base === '' ? '' : `${base}:`
  const usual = lifetimeOfSeconds(options.ttl, {})

  const write = (key: string, value: unknown, { ttl }: CallOptions = {}) => ({
    key: prefix + key,
    value,
    lifetime: lifetimeOfSeconds(ttl, usual),
  })

  async function* keysFrom(start: string): AsyncGenerator<string, void> {
    for await (const { key } of cache.scan(start === '' ? {} : { prefix: start })) yield key
  }

  return {
    name: 'ramcache',
    flags: { ttl: true },
    options,
    getInstance: () => cache,
    hasItem: (key) => cache.has(prefix + key),
    getItem: async (key) => (await cache.get(prefix + key)) ?? null,
    async getItems(items) {
      const found = await cache.getMany(items.map(({ key }) => prefix + key))
      return items.map(({ key }) => ({ key, value: found.get(prefix + key) ?? null }))
    },
    getItemRaw: async (key) => (await cache.get(prefix + key)) ?? null,
    setItem: (key, value, given) => writeOne(cache, write(key, value, given)),
    setItems: (items, common) =>
      writeMany(
        cache,
        items.map(({ key, value, options: own }) => write(key, value, { ...common, ...own })),
      ),
    setItemRaw: (key, value, given) => writeOne(cache, write(key, value, given)),
    async removeItem(key) {
      await cache.delete(prefix + key)
    },
    async getMeta(key) {
      const entry = await cache.getEntry(prefix + key)
      if (entry === undefined) return null
      const meta = { mtime: new Date(entry.createdAt), size: entry.size }
      if (entry.expiresAt === undefined) return meta
      return { ...meta, ttl: Math.max(0, Math.ceil((entry.expiresAt - systemClock.nowMs()) / 1000)) }
    },
    async getKeys(start = '') {
      const keys: string[] = []
      for await (const key of keysFrom(prefix + start)) keys.push(key.slice(prefix.length))
      return keys
    },
    async clear(start = '') {
      if (prefix + start === '') return cache.clear()
      let keys: string[] = []
      for await (const key of keysFrom(prefix + start)) {
        if (keys.push(key) < pageKeys) continue
        await cache.deleteMany(keys)
        keys = []
      }
      await cache.deleteMany(keys)
    },
    dispose() {},
  }
}

export default ramcacheDriver

/** None and 0 say nothing, as with other drivers. */
function lifetimeOfSeconds(seconds: unknown, usual: Lifetime): Lifetime {
  if (seconds === undefined || seconds === null || seconds === 0) return usual
  if (typeof seconds === 'number' && seconds > 0) return lifetimeOf(seconds * 1000)
  throw configError(`ttl of ${where} must be a number of seconds above 0, not ${show(seconds)}`)
}
