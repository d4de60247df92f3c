/**
 * `ramcache/keyv`: a storage adapter for Keyv 5, and through it for cache-manager and cacheable.
 *
 * A Keyv namespace is a namespace inside the given cache, so that `clear` costs the same however much there is. Keys are
 * stored as Keyv gives them, with its prefix.
 */
import { EventEmitter } from 'node:events'
import { show } from '../base/errors.ts'
import { checkFields, configError } from '../config/fields.ts'
import type { Cache } from '../index.ts'
import { checkCache, checkText } from './checks.ts'
import { lifetimeOf, type Write, writeMany, writeOne } from './writes.ts'

export interface KeyvRamcacheOptions {
  /** Keyv sets its own, which is `'keyv'` when it was given none. Default: the given cache itself. */
  namespace?: string
}

/** What Keyv's `setMany` of an adapter gets. */
export interface KeyvRamcacheEntry {
  key: string
  value: unknown
  /** Milliseconds; none or 0: it does not expire. */
  ttl?: number | undefined
}

const where = 'the Keyv adapter'

/** Entries of an iteration that are read together. */
const pageEntries = 100

export class KeyvRamcache extends EventEmitter {
  /** Keyv 5 offers `iterator()` for a fixed list of dialects alone; this one asks for nothing else of an adapter. */
  readonly opts: Record<string, unknown> = { dialect: 'redis', url: '' }
  readonly #cache: Cache
  /** Opened once: each opening takes a counter slot of the store. */
  readonly #spaces = new Map<string, Cache>()
  #namespace: string | undefined

  constructor(cache: Cache, options: KeyvRamcacheOptions = {}) {
    super()
    checkCache(cache, where)
    checkFields(options, where, ['namespace'])
    this.#cache = cache
    this.namespace = checkText(options.namespace, 'namespace', where)
  }

  get namespace(): string | undefined {
    return this.#namespace
  }

  set namespace(namespace: string | undefined) {
    this.#namespace = namespace
    this.opts.namespace = namespace
  }

  async get<Value>(key: string): Promise<Value | undefined> {
    return this.#space().get<Value>(key)
  }

  /** In the order of the keys; `undefined` for each that is not there. */
  async getMany<Value>(keys: string[]): Promise<(Value | undefined)[]> {
    const found = await this.#space().getMany<Value>(keys)
    return keys.map((key) => found.get(key))
  }

  async set(key: string, value: unknown, ttl?: number): Promise<boolean> {
    await writeOne(this.#space(), writeOf({ key, value, ttl }))
    return true
  }

  /** Those with the same time to live are stored as a group: all of them or none. */
  async setMany(entries: KeyvRamcacheEntry[]): Promise<void> {
    await writeMany(this.#space(), entries.map(writeOf))
    // Keyv says that its setMany resolves to these, and passes on what it gets, though its types say void.
    return entries.map(() => true) as unknown as undefined
  }

  async delete(key: string): Promise<boolean> {
    return this.#space().delete(key)
  }

  /** Whether there was one of them. */
  async deleteMany(keys: string[]): Promise<boolean> {
    return (await this.#space().deleteMany(keys)) > 0
  }

  /** Everything in the namespace. */
  async clear(): Promise<void> {
    await this.#space().clear()
  }

  async has(key: string): Promise<boolean> {
    return this.#space().has(key)
  }

  async hasMany(keys: string[]): Promise<boolean[]> {
    const space = this.#space()
    return Promise.all(keys.map((key) => space.has(key)))
  }

  /** Keys and values, in no particular order. */
  async *iterator<Value>(namespace?: string): AsyncGenerator<(string | Awaited<Value> | undefined)[], void> {
    const space = this.#space(namespace ?? this.#namespace)
    let keys: string[] = []
    for await (const { key } of space.scan()) {
      keys.push(key)
      if (keys.length < pageEntries) continue
      yield* await space.getMany<Awaited<Value>>(keys)
      keys = []
    }
    yield* await space.getMany<Awaited<Value>>(keys)
  }

  /** The cache belongs to whoever opened it, and stays open. */
  async disconnect(): Promise<void> {}

  #space(namespace = this.#namespace): Cache {
    if (namespace === undefined || namespace === '') return this.#cache
    const known = this.#spaces.get(namespace)
    if (known !== undefined) return known
    const space = this.#cache.namespace(spaceName(namespace))
    this.#spaces.set(namespace, space)
    return space
  }
}

export default KeyvRamcache

/** Names of Keyv are any text, those of ramcache visible ASCII without `/`; `default` is the given cache itself there. */
function spaceName(namespace: string): string {
  if (typeof namespace !== 'string') {
    throw configError(`namespace of ${where} must be a string, not ${show(namespace)}`)
  }
  return namespace === 'default' ? '%64efault' : encodeURIComponent(namespace)
}

function writeOf({ key, value, ttl }: KeyvRamcacheEntry): Write {
  const lifetime = ttl === undefined || ttl === null || ttl === 0 ? {} : lifetimeOf(ttl)
  return { key, value: storable(value), lifetime }
}

/** A Keyv without a serializer gives objects whose `expires` may be undefined, which no store can hold. */
function storable(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('expires' in value)) return value
  const kept = Object.entries(value).filter(([, member]) => member !== undefined)
  return Object.fromEntries(kept)
}
