/**
 * `ramcache/undici`: a store for the cache interceptor of undici.
 *
 * A URL has a list of its variants, one for each method and each set of request headers that `vary` named; a variant is the
 * response with its body. The name of a variant follows from what makes it one, so writing it again replaces it, and what is
 * not in the list is never read. Without the list, which `delete` takes away at once, none of them is there.
 *
 * The store is a convenience: where it fails, a request goes to its server, and `errorCallback` is told.
 */
import { Writable } from 'node:stream'
import { systemClock } from '../base/clock.ts'
import { show } from '../base/errors.ts'
import { checkFields, configError } from '../config/fields.ts'
import type { Cache } from '../index.ts'
import { checkCache, checkCount, storableTtl } from './checks.ts'
import { boundedName, hashOf } from './keys.ts'

export interface RamcacheCacheStoreOptions {
  /** Bytes from which on the body of a response is not kept, as with undici's own stores. Default 5 MiB. */
  maxEntrySize?: number
  /** Told what went wrong; the request does not notice. */
  errorCallback?: (error: Error) => void
}

type Headers = Record<string, string | string[]>
type Vary = Record<string, string | string[] | null>

export interface CacheKey {
  origin: string
  method: string
  path: string
  headers?: Headers
}

export interface CacheValue {
  statusCode: number
  statusMessage: string
  headers: Headers
  vary?: Vary
  etag?: string
  cacheControlDirectives?: Record<string, unknown>
  cachedAt: number
  staleAt: number
  deleteAt: number
}

export interface CachedResponse extends CacheValue {
  cacheControlDirectives: Record<string, unknown>
  body: Buffer[]
}

interface Variant {
  readonly name: string
  readonly method: string
  readonly vary: Vary | null
  readonly deleteAt: number
}

/** What is stored of a response. */
interface Stored extends CacheValue {
  body: Uint8Array
}

const where = 'the cache store of undici'
const entryBytesDefault = 5 * 1024 * 1024

/** More would make a long list of each lookup; those that end first give way. */
const variantsMax = 100

/** Times that a list is tried to be changed beside other processes. */
const attemptsMax = 20

export class RamcacheCacheStore {
  readonly #cache: Cache
  readonly #entryBytesMax: number
  readonly #onError: (error: Error) => void
  /** Deletes under way: a `get` after one sees what it did, though undici does not wait for it. */
  readonly #deletes = new Map<string, Promise<void>>()

  constructor(cache: Cache, options: RamcacheCacheStoreOptions = {}) {
    checkCache(cache, where)
    checkFields(options, where, ['maxEntrySize', 'errorCallback'])
    const { maxEntrySize, errorCallback = () => {} }: RamcacheCacheStoreOptions = options
    if (typeof errorCallback !== 'function') {
      throw configError(`errorCallback of ${where} must be a function, not ${show(errorCallback)}`)
    }
    this.#cache = cache
    this.#entryBytesMax = checkCount(maxEntrySize, 'maxEntrySize', where, { min: 0 }) ?? entryBytesDefault
    this.#onError = errorCallback
  }

  async get(key: CacheKey): Promise<CachedResponse | undefined> {
    try {
      const url = urlName(key)
      await this.#deletes.get(url)
      const now = systemClock.nowMs()
      const variants = (await this.#cache.get<Variant[]>(listKey(url))) ?? []
      const variant = variants.find(
        ({ method, vary, deleteAt }) =>
          method === key.method && deleteAt > now && varyMatches(vary, key.headers ?? {}),
      )
      if (variant === undefined) return undefined
      const stored = await this.#cache.get<Stored>(responseKey(url, variant.name))
      if (stored === undefined || stored.deleteAt <= now) return undefined
      const { body, cacheControlDirectives = {}, ...value } = stored
      // In pieces: undici would go through a single buffer byte by byte.
      return { ...value, cacheControlDirectives, body: body.length === 0 ? [] : [Buffer.from(body)] }
    } catch (error) {
      this.#onError(error as Error)
      return undefined
    }
  }

  createWriteStream(key: CacheKey, value: CacheValue): Writable | undefined {
    if (this.#entryBytesMax === 0 || value.deleteAt <= systemClock.nowMs()) return undefined
    const entryBytesMax = this.#entryBytesMax
    const pieces: Buffer[] = []
    let bytes = 0
    return new Writable({
      write(chunk: Buffer, _encoding, done) {
        bytes += chunk.length
        if (bytes < entryBytesMax) pieces.push(chunk)
        else this.destroy()
        done()
      },
      final: (done) => {
        this.#save(key, value, Buffer.concat(pieces)).then(
          () => done(),
          (error) => {
            this.#onError(error)
            done()
          },
        )
      },
    })
  }

  /** All methods and variants of the URL. */
  async delete(key: CacheKey): Promise<void> {
    const url = urlName(key)
    const deleted = this.#drop(url).catch((error) => this.#onError(error))
    // undici deletes once for each method.
    const all = Promise.all([this.#deletes.get(url), deleted]).then(() => {
      if (this.#deletes.get(url) === all) this.#deletes.delete(url)
    })
    this.#deletes.set(url, all)
    await all
  }

  async #drop(url: string): Promise<void> {
    const variants = await this.#cache.pull<Variant[]>(listKey(url))
    if (variants === undefined) return
    await this.#cache.deleteMany(variants.map(({ name }) => responseKey(url, name)))
  }

  async #save(key: CacheKey, value: CacheValue, body: Buffer): Promise<void> {
    const ttl = storableTtl(value.deleteAt - systemClock.nowMs())
    if (ttl === undefined) return
    const url = urlName(key)
    const vary = value.vary ?? null
    const name = variantName(key.method, vary)
    // What JSON leaves out is what cannot be stored: members that are undefined.
    const stored = { ...JSON.parse(JSON.stringify(value)), body }
    await this.#cache.set(responseKey(url, name), stored, { ttl })
    await this.#list(url, { name, method: key.method, vary, deleteAt: value.deleteAt })
  }

  /** Puts a variant on the list, first, and drops from it what has ended. */
  async #list(url: string, variant: Variant): Promise<void> {
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const entry = await this.#cache.getEntry<Variant[]>(listKey(url))
      const now = systemClock.nowMs()
      const others = (entry?.value ?? []).filter(
        ({ name, deleteAt }) => name !== variant.name && deleteAt > now,
      )
      others.sort((one, other) => other.deleteAt - one.deleteAt)
      const variants = [variant, ...others.slice(0, variantsMax - 1)]
      const ttl = storableTtl(Math.max(...variants.map(({ deleteAt }) => deleteAt)) - now)
      if (ttl === undefined) return
      const condition = entry === undefined ? { ifAbsent: true } : { ifVersion: entry.version }
      const written = await this.#cache.set(listKey(url), variants, { ttl, ...condition })
      if (written !== undefined) return
    }
    // A response that nobody finds.
    await this.#cache.delete(responseKey(url, variant.name))
  }
}

export default RamcacheCacheStore

function urlName({ origin, path }: CacheKey): string {
  return boundedName(`${origin}${path}`)
}

function listKey(url: string): string {
  return `undici:list:${url}`
}

function responseKey(url: string, name: string): string {
  return `undici:response:${name}:${url}`
}

function variantName(method: string, vary: Vary | null): string {
  const headers = Object.entries(vary ?? {}).sort(([one], [other]) => (one < other ? -1 : 1))
  return hashOf(JSON.stringify([method, headers]))
}

function varyMatches(vary: Vary | null, headers: Headers): boolean {
  return Object.entries(vary ?? {}).every(
    ([name, value]) => JSON.stringify(headers[name] ?? null) === JSON.stringify(value ?? null),
  )
}
