/**
 * The reading half of a cache over the store of this machine: all of an attached cache, and the base of the owner's.
 *
 * `get` and `getSync` are the hot path: no checks of their own. The store refuses bad keys; only then is the key
 * looked at again here, for a message that says more.
 */
import type { Readable } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { systemClock } from '../base/clock.ts'
import { RamcacheError, show } from '../base/errors.ts'
import { Manifest, manifestBytes } from '../codec/blob.ts'
import { freezeDeep } from '../codec/freeze.ts'
import { checkKey } from '../codec/key.ts'
import {
  saysOnlyFrozen,
  validateCall,
  validateClose,
  validateGet,
  validateScan,
} from '../config/call-options.ts'
import { configError } from '../config/fields.ts'
import type {
  CallOptions,
  CloseOptions,
  GetOptions,
  ReadStreamOptions,
  ScanOptions,
} from '../config/options.ts'
import { resolveRange, validateRead } from '../config/stream-options.ts'
import type { ReadEngine, ReadSpace } from '../native/engine.ts'
import type { TierScans } from '../owner/scans.ts'
import type { Blobs } from './blobs.ts'
import { coldRead } from './cold-read.ts'
import type { Flights } from './get-or-set.ts'
import { compileGlob, type Glob } from './glob.ts'
import { defaultNamespace, nestedName } from './namespace.ts'
import { statsOf } from './stats.ts'
import { BlobReader, bytesOfValue, streamOf } from './streams.ts'
import { scanTiers } from './tier-scan.ts'
import type { Entry, EntryInfo, Key, ReadonlyCache, Stats } from './types.ts'
import { unlessAborted } from './unless-aborted.ts'

/** Each failed attempt means that another writer succeeded in between. */
export const attemptsMax = 100

/** What all namespaces of one open store share. */
export class Lifetime {
  readonly engine: ReadEngine
  readonly blobs: Blobs
  /** Over the tiers below RAM, in a process that owns them. */
  readonly scans: TierScans | undefined
  /** Values that are being computed here, by namespace. */
  readonly #flights = new Map<string, Flights>()
  readonly #stop: ((timeoutMs: number | undefined) => Promise<void>) | undefined
  readonly #openedUs = systemClock.monotonicUs()
  #isClosed = false
  #closing: Promise<void> | undefined

  /** `stop` brings what was written to disk, before the engine is closed. */
  constructor(
    engine: ReadEngine,
    blobs: Blobs,
    stop?: (timeoutMs: number | undefined) => Promise<void>,
    scans?: TierScans,
  ) {
    this.scans = scans
    this.engine = engine
    this.blobs = blobs
    this.#stop = stop
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  flights(namespace: string): Flights {
    let flights = this.#flights.get(namespace)
    if (flights === undefined) {
      flights = new Map()
      this.#flights.set(namespace, flights)
    }
    return flights
  }

  stats(): Stats | Promise<Stats> {
    const counters = this.engine.counters()
    const uptimeSeconds = Math.floor((systemClock.monotonicUs() - this.#openedUs) / 1_000_000)
    const { ownerPid: pid, mode } = this.engine
    return statsOf(counters, { pid, mode }, uptimeSeconds)
  }

  /** Whoever calls it again waits for the same end. */
  close(timeoutMs?: number): Promise<void> {
    this.#closing ??= this.#end(timeoutMs)
    return this.#closing
  }

  async #end(timeoutMs: number | undefined): Promise<void> {
    this.#isClosed = true
    this.blobs.close()
    this.scans?.close()
    try {
      if (this.#stop !== undefined) await this.#stop(timeoutMs)
    } finally {
      this.engine.close()
    }
  }
}

export class ReadCache<S extends ReadSpace = ReadSpace> implements ReadonlyCache {
  protected readonly lifetime: Lifetime
  /** Full name. */
  protected readonly name: string
  protected space: S
  /** Values are given out frozen, unless a call says otherwise. */
  protected readonly isFrozen: boolean
  /** Only the cache that `open` or `attach` returned closes the store. */
  readonly #isRoot: boolean
  #isClosed = false

  constructor(lifetime: Lifetime, space: S, name: string, isRoot: boolean, isFrozen: boolean) {
    this.lifetime = lifetime
    this.space = space
    this.name = name
    this.#isRoot = isRoot
    this.isFrozen = isFrozen
  }

  get<T = unknown>(key: Key, options?: GetOptions): Promise<T | undefined> {
    try {
      const isFrozen = options === undefined ? this.isFrozen : this.#beginGet(options, 'get()')
      const value = (isFrozen ? this.space.getFrozen(key) : this.space.get(key)) as T | undefined
      if (value === undefined && this.space.isCold) {
        const fetched = coldRead(this.name, 'get', key, this.space.fetch(key) as Promise<T | undefined>)
        return unlessAborted(isFrozen ? fetched.then(frozen) : fetched, options?.signal)
      }
      return Promise.resolve(value)
    } catch (error) {
      return Promise.reject(explain(error, key))
    }
  }

  getSync<T = unknown>(key: Key, options?: GetOptions): T | undefined {
    try {
      const isFrozen = options === undefined ? this.isFrozen : this.#beginGet(options, 'getSync()')
      return (isFrozen ? this.space.getFrozen(key) : this.space.get(key)) as T | undefined
    } catch (error) {
      throw explain(error, key)
    }
  }

  /** Whether the value is to be frozen. */
  #beginGet(options: GetOptions, where: string): boolean {
    if (saysOnlyFrozen(options)) return options.frozen as boolean
    const { signal, isFrozen = this.isFrozen } = validateGet(options, where)
    signal?.throwIfAborted()
    this.ensureOpen()
    return isFrozen
  }

  async getMany<T = unknown, K extends Key = string>(
    keys: Iterable<K>,
    options?: CallOptions,
  ): Promise<Map<K, T>> {
    this.begin(options, 'getMany()')
    const list = checkKeys(keys, 'getMany()')
    const found = await unlessAborted(this.space.fetchMany(list) as Promise<Map<K, T>>, options?.signal)
    if (this.isFrozen) for (const value of found.values()) freezeDeep(value)
    return found
  }

  async getEntry<T = unknown>(key: Key, options?: CallOptions): Promise<Entry<T> | undefined> {
    this.begin(options, 'getEntry()')
    checkKey(key)
    const found = await this.anyEntry(key, options?.signal)
    if (found === undefined || !(found.value instanceof Manifest)) return found as Entry<T> | undefined
    return { ...found, value: undefined as T, size: found.value.totalBytes, isBlob: true }
  }

  async has(key: Key, options?: CallOptions): Promise<boolean> {
    this.begin(options, 'has()')
    checkKey(key)
    if (this.space.has(key)) return true
    if (!this.space.isCold) return false
    return unlessAborted(coldRead(this.name, 'has', key, this.space.fetchHas(key)), options?.signal)
  }

  /** The entry, in whatever tier it lies; at once when that is RAM. */
  protected async anyEntry(key: Key, signal: AbortSignal | undefined): Promise<ReturnType<S['getEntry']>> {
    const entry = this.space.getEntry(key)
    const isCold = entry === undefined && this.space.isCold
    const found = isCold
      ? await unlessAborted(coldRead(this.name, 'getEntry', key, this.space.fetchEntry(key)), signal)
      : entry
    return found as ReturnType<S['getEntry']>
  }

  async *scan(options?: ScanOptions): AsyncGenerator<EntryInfo, void, undefined> {
    const {
      prefix = '',
      match,
      limit = Number.POSITIVE_INFINITY,
      signal,
    } = options === undefined ? {} : validateScan(options, 'scan()')
    const glob = match === undefined ? undefined : compileGlob(match)
    const common = commonPrefix(prefix, glob)
    if (common === undefined) {
      signal?.throwIfAborted()
      this.ensureOpen()
      return
    }
    let left = limit
    for await (const entry of this.entriesOf(common, options?.tier, signal)) {
      if (glob !== undefined && !glob.matches(entry.key)) continue
      yield entry
      if (--left === 0) return
    }
  }

  /** All entries whose key begins so, of all tiers or of one. */
  protected async *entriesOf(
    prefix: string,
    tier: ScanOptions['tier'],
    signal: AbortSignal | undefined,
  ): AsyncGenerator<EntryInfo, void, undefined> {
    const check = () => {
      signal?.throwIfAborted()
      this.ensureOpen()
    }
    const { scans } = this.lifetime
    if (tier !== 'ram' && this.space.reachesBelow && scans !== undefined) {
      const page = (from: Uint8Array | undefined) =>
        unlessAborted(scans.page(this.name, prefix, from), signal)
      const sized = (entry: EntryInfo) => this.sized(entry)
      for await (const entry of scanTiers({ space: this.space, prefix, check, page, sized })) {
        if (tier === undefined || entry.tier === tier) yield entry
      }
      return
    }
    if (tier !== undefined && tier !== 'ram') return
    let cursor: Parameters<S['scan']>[0]
    do {
      check()
      const page = this.space.scan(cursor, prefix)
      for (const entry of page.entries) yield await this.sized(entry)
      cursor = page.cursor
      // A long scan must leave room for timers and sockets, even if nobody waits between entries.
      if (cursor !== undefined) await nextTurn()
    } while (cursor !== undefined)
  }

  /** A page of a scan has no values: what is as long as a manifest is looked at. */
  protected async sized(entry: EntryInfo): Promise<EntryInfo> {
    if (entry.size - Buffer.byteLength(entry.key) !== manifestBytes) return entry
    const found = await this.space.look(entry.key)
    if (found?.version !== entry.version || !(found.value instanceof Manifest)) return entry
    return { ...entry, size: found.value.totalBytes, isBlob: true }
  }

  async createReadStream(key: Key, options?: ReadStreamOptions): Promise<Readable> {
    const where = 'createReadStream()'
    const read = validateRead(options, where)
    read.signal?.throwIfAborted()
    this.ensureOpen()
    checkKey(key)
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const entry = await this.anyEntry(key, read.signal)
      if (entry === undefined) {
        throw new RamcacheError('ERR_RAMCACHE_UNAVAILABLE', `there is nothing to read under ${show(key)}`)
      }
      const { value, version } = entry
      if (!(value instanceof Manifest)) {
        const bytes = bytesOfValue(value, key)
        const { start, end } = resolveRange(read, bytes.length, where)
        return streamOf(bytes.subarray(start, end), read.signal)
      }
      const range = resolveRange(read, value.totalBytes, where)
      const reader = new BlobReader(this.lifetime.blobs, value, range, read.signal, () => {
        return this.dropUnreadable(key, version)
      })
      // Only now does the reader hold what it reads: it may have been replaced and swept in between.
      const isCurrent = await this.#isCurrent(key, version, reader)
      if (isCurrent) return reader
      reader.destroy()
    }
    throw conflict(where, key)
  }

  async #isCurrent(key: Key, version: string, reader: Readable): Promise<boolean> {
    try {
      return (await this.space.look(key))?.version === version
    } catch (error) {
      reader.destroy()
      throw error
    }
  }

  /** What has lost bytes is as good as evicted: the next reader misses, and somebody can fill it again. */
  protected async dropUnreadable(_key: Key, _version: string): Promise<void> {}

  namespace(name: string): ReadonlyCache {
    this.ensureOpen()
    const fullName = nestedName(this.name, name)
    const space = this.lifetime.engine.space(fullName)
    return new ReadCache(this.lifetime, space, fullName, false, this.isFrozen)
  }

  async stats(options?: CallOptions): Promise<Stats> {
    this.begin(options, 'stats()')
    return this.lifetime.stats()
  }

  async close(options?: CloseOptions): Promise<void> {
    const timeoutMs = options === undefined ? undefined : validateClose(options)
    this.#isClosed = true
    this.space = closedSpace as S
    if (this.#isRoot) await this.lifetime.close(timeoutMs)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** What every method but the hot ones does first: the options, then the signal, then whether there is a store. */
  protected begin(options: CallOptions | undefined, where: string): void {
    if (options !== undefined) validateCall(options, where)?.throwIfAborted()
    this.ensureOpen()
  }

  protected ensureOpen(): void {
    if (this.#isClosed || this.lifetime.isClosed) throw closedError()
  }
}

/** A cache that reads the store another process owns. */
export function readonlyCache(engine: ReadEngine, blobs: Blobs, isFrozen: boolean): ReadonlyCache {
  const lifetime = new Lifetime(engine, blobs)
  return new ReadCache(lifetime, engine.space(defaultNamespace), defaultNamespace, true, isFrozen)
}

function frozen<T>(value: T): T {
  freezeDeep(value)
  return value
}

/** In place of the space of a closed cache, so that open ones need not ask. */
const closedSpace = new Proxy(Object.freeze({}) as ReadSpace, {
  get() {
    throw closedError()
  },
})

function closedError(): RamcacheError {
  return new RamcacheError('ERR_RAMCACHE_CLOSED', 'the cache is closed')
}

export function conflict(where: string, key: Key): RamcacheError {
  const message = `${where} lost the race for ${show(key)} ${attemptsMax} times, which is the limit`
  return new RamcacheError('ERR_RAMCACHE_CONFLICT', message)
}

/** The better message, when the key is what was wrong. */
function explain(error: unknown, key: unknown): unknown {
  try {
    checkKey(key)
  } catch (keyError) {
    return error instanceof RamcacheError && error.code === 'ERR_RAMCACHE_KEY' ? keyError : error
  }
  return error
}

/** An array of keys, every one of them checked before anything is done with the first. */
export function checkKeys<K extends Key>(keys: Iterable<K>, where: string): K[] {
  if (typeof keys !== 'object' || keys === null || !(Symbol.iterator in keys) || keys instanceof Uint8Array) {
    throw configError(`${where} takes an array or another iterable of keys, not ${show(keys)}`)
  }
  const list = [...keys]
  for (const key of list) checkKey(key)
  return list
}

/** The longest prefix that both ask for; `undefined` when no key can have both. */
function commonPrefix(prefix: string, glob: Glob | undefined): string | undefined {
  if (glob === undefined || prefix.startsWith(glob.prefix)) return prefix
  return glob.prefix.startsWith(prefix) ? glob.prefix : undefined
}
