/**
 * The cache of a process that does not own the store: reads out of shared memory, everything else by asking the owner.
 * Options are checked here, with the same messages as in the owner; what is not given is the owner's to decide.
 */
import type { Writable } from 'node:stream'
import { isDeepStrictEqual } from 'node:util'
import { RamcacheError, show } from '../base/errors.ts'
import { RemoteBlobWriter } from '../client/blob-writer.ts'
import type { RemoteSpace } from '../client/remote-space.ts'
import type { RemoteStore } from '../client/remote-store.ts'
import { Manifest } from '../codec/blob.ts'
import { checkKey } from '../codec/key.ts'
import { blobError } from '../codec/refusals.ts'
import {
  type ValidatedWrite,
  validateCounter,
  validateSet,
  validateTags,
  validateWrite,
} from '../config/call-options.ts'
import { parseDuration } from '../config/duration.ts'
import { type Factory, type GetOrSetOptions, validateGetOrSet } from '../config/get-or-set-options.ts'
import type { LimiterOptions } from '../config/limiter-options.ts'
import type { LockOptions, TryLockOptions } from '../config/lock-options.ts'
import { checkHasTiers, type ValidatedNamespace, validateNamespace } from '../config/open-options.ts'
import type {
  CallOptions,
  CounterOptions,
  NamespaceOptions,
  ScanOptions,
  SetOptions,
  WriteOptions,
  WriteStreamOptions,
} from '../config/options.ts'
import { Blobs, chunkBytesFor } from './blobs.ts'
import { checkEntries, copyKey } from './entries.ts'
import { readsOf } from './fill-side.ts'
import { type FillSide, getOrSet } from './get-or-set.ts'
import { registerEngine } from './internal.ts'
import { NamedLimiter } from './limiter.ts'
import { lock, tryLock } from './locks.ts'
import { defaultNamespace, nestedName } from './namespace.ts'
import { attemptsMax, checkKeys, conflict, Lifetime, ReadCache } from './read-cache.ts'
import type { Cache, EntryInfo, Key, Lease, Limiter, Stats } from './types.ts'
import { unlessAborted } from './unless-aborted.ts'

type Namespaces = Readonly<Record<string, ValidatedNamespace>>

class RemoteLifetime extends Lifetime {
  readonly store: RemoteStore
  readonly namespaces: Namespaces

  constructor(store: RemoteStore, namespaces: Namespaces, timeoutMs: number) {
    super(store, new Blobs(store), (closeMs) => store.link.close(closeMs ?? timeoutMs))
    this.store = store
    this.namespaces = namespaces
  }

  override stats(): Promise<Stats> {
    return this.store.stats() as Promise<Stats>
  }
}

class RemoteCache extends ReadCache<RemoteSpace> implements Cache {
  readonly #remote: RemoteLifetime
  readonly #ttlMs: number | undefined
  /** What this process says of writes that were given no options. */
  readonly #defaults: ValidatedWrite | undefined
  #fills: FillSide | undefined

  constructor(lifetime: RemoteLifetime, name: string, settings: ValidatedNamespace, isRoot: boolean) {
    super(lifetime, lifetime.store.space(name), name, isRoot, settings.isFrozen ?? false)
    this.#remote = lifetime
    this.#ttlMs = settings.ttlMs
    const { ttlMs, durability } = settings
    this.#defaults =
      ttlMs === undefined && durability === undefined
        ? undefined
        : { ...(ttlMs === undefined ? {} : { ttlMs }), ...(durability === undefined ? {} : { durability }) }
  }

  /** Not an `async` function: each promise between the caller and the answer costs as much as writing the command. */
  set(key: Key, value: unknown, options?: SetOptions): Promise<{ version: string } | undefined> {
    try {
      const write =
        options === undefined ? this.#defaults : this.#write(validateSet(options, 'set()'), options, 'set()')
      this.ensureOpen()
      checkKey(key)
      return unlessAborted(this.space.set(key, value, write), options?.signal)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async setMany(entries: Iterable<readonly [Key, unknown]>, options?: WriteOptions): Promise<void> {
    const write = this.#writeOf(options, 'setMany()')
    this.ensureOpen()
    const list = checkEntries(entries)
    if (list.length > 0) await unlessAborted(this.space.setMany(list, write), options?.signal)
  }

  async add(key: Key, value: unknown, options?: WriteOptions): Promise<boolean> {
    const write = this.#writeOf(options, 'add()')
    this.ensureOpen()
    checkKey(key)
    const version = this.space.set(key, value, { ...write, ifAbsent: true })
    return (await unlessAborted(version, options?.signal)) !== undefined
  }

  async delete(key: Key, options?: CallOptions): Promise<boolean> {
    this.begin(options, 'delete()')
    checkKey(key)
    return unlessAborted(this.space.delete(key), options?.signal)
  }

  async deleteMany(keys: Iterable<Key>, options?: CallOptions): Promise<number> {
    this.begin(options, 'deleteMany()')
    const list = checkKeys(keys, 'deleteMany()')
    return list.length === 0 ? 0 : unlessAborted(this.space.deleteMany(list), options?.signal)
  }

  async pull<T = unknown>(key: Key, options?: CallOptions): Promise<T | undefined> {
    this.begin(options, 'pull()')
    checkKey(key)
    const own = copyKey(key)
    const { space } = this
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const entry = await this.anyEntry(own, options?.signal)
      if (entry === undefined) return undefined
      if (entry.value instanceof Manifest) throw blobError()
      if (await unlessAborted(space.delete(own, entry.version), options?.signal)) return entry.value as T
    }
    throw conflict('pull()', key)
  }

  async touch(key: Key, ttl?: number | string, options?: CallOptions): Promise<boolean> {
    this.begin(options, 'touch()')
    const ttlMs = ttl === undefined ? this.#ttlMs : parseDuration(ttl, 'ttl of touch()')
    checkKey(key)
    return unlessAborted(this.space.touch(key, ttlMs), options?.signal)
  }

  async incr(key: Key, by = 1, options?: CounterOptions): Promise<number> {
    return this.#count(key, by, 1, options, 'incr()')
  }

  async decr(key: Key, by = 1, options?: CounterOptions): Promise<number> {
    return this.#count(key, by, -1, options, 'decr()')
  }

  async #count(
    key: Key,
    by: number,
    sign: 1 | -1,
    options: CounterOptions | undefined,
    where: string,
  ): Promise<number> {
    const counter = options === undefined ? undefined : validateCounter(options, where)
    checkHasTiers(counter?.durability, this.#remote.store.hasTiers, where)
    options?.signal?.throwIfAborted()
    this.ensureOpen()
    checkKey(key)
    if (!Number.isSafeInteger(by)) {
      const message = `${where} can only add whole numbers up to ±(2^53 - 1), not ${show(by)}`
      throw new RamcacheError('ERR_RAMCACHE_NOT_INTEGER', message)
    }
    const step = sign === 1 ? by : 0 - by
    const { ttlMs = this.#ttlMs, durability = this.#defaults?.durability } = counter ?? {}
    return unlessAborted(this.space.incr(key, step, counter?.init, ttlMs, durability), options?.signal)
  }

  async cas(key: Key, expected: unknown, value: unknown, options?: WriteOptions): Promise<boolean> {
    const write = this.#writeOf(options, 'cas()')
    this.ensureOpen()
    checkKey(key)
    const own = copyKey(key)
    const { space } = this
    const put = async (condition: ValidatedWrite) => {
      const version = space.set(own, value, { ...write, ...condition })
      return (await unlessAborted(version, options?.signal)) !== undefined
    }
    if (expected === undefined) return put({ ifAbsent: true })
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const entry = await this.anyEntry(own, options?.signal)
      if (entry === undefined || !isDeepStrictEqual(entry.value, expected)) return false
      if (await put({ ifVersion: entry.version })) return true
    }
    throw conflict('cas()', key)
  }

  getOrSet<T>(key: Key, factory: Factory<T>, options?: GetOrSetOptions): Promise<T> {
    try {
      const call = validateGetOrSet(factory, options)
      checkHasTiers(call.write.durability, this.#remote.store.hasTiers, 'getOrSet()')
      this.ensureOpen()
      checkKey(key)
      this.#fills ??= this.#fillSide()
      return getOrSet(this.#fills, this.lifetime.flights(this.name), key, factory, call)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  #fillSide(): FillSide {
    const { space } = this
    return {
      ...readsOf(space, this.name, this.isFrozen),
      ttlMs: this.#ttlMs,
      lease: (key, leaseMs, refreshes) => space.lease(key, leaseMs, refreshes),
      fill: (key, value, write) => space.fill(key, value, { ...this.#defaults, ...write }),
      abandon: (key, token, pauseMs) => space.abandon(key, token, pauseMs),
    }
  }

  createWriteStream(key: Key, options?: WriteStreamOptions): Writable {
    const write = this.#writeOf(options, 'createWriteStream()')
    this.ensureOpen()
    checkKey(key)
    const { store } = this.#remote
    const pieceBytes = chunkBytesFor(store.budgetBytes)
    const target = { channel: store.cold, namespace: this.name, key: copyKey(key), write, pieceBytes }
    return new RemoteBlobWriter(target, options?.signal)
  }

  protected override async dropUnreadable(key: Key, version: string): Promise<void> {
    await this.space.delete(key, version)
  }

  protected override async *entriesOf(
    prefix: string,
    tier: ScanOptions['tier'],
    signal: AbortSignal | undefined,
  ): AsyncGenerator<EntryInfo, void, undefined> {
    const { isMapped } = this.#remote.store
    if (isMapped && (tier === 'ram' || !this.space.reachesBelow)) {
      yield* super.entriesOf(prefix, tier, signal)
      return
    }
    let from: Buffer | undefined
    do {
      signal?.throwIfAborted()
      this.ensureOpen()
      const page = await unlessAborted(this.space.page(prefix, tier ?? 'any', from), signal)
      for (const entry of page.entries) yield await this.sized(entry)
      from = page.cursor
    } while (from !== undefined)
  }

  async lock(key: Key, options?: LockOptions): Promise<Lease> {
    this.ensureOpen()
    return lock(this.#remote.store.locks, this.name, key, options, () => this.ensureOpen())
  }

  async tryLock(key: Key, options?: TryLockOptions): Promise<Lease | undefined> {
    this.ensureOpen()
    return tryLock(this.#remote.store.locks, this.name, key, options, () => this.ensureOpen())
  }

  limiter(name: string, options: LimiterOptions): Limiter {
    this.ensureOpen()
    const limits = () => {
      this.ensureOpen()
      return this.#remote.store.limits
    }
    return new NamedLimiter(limits, this.name, name, options)
  }

  async clear(options?: CallOptions): Promise<void> {
    this.begin(options, 'clear()')
    await unlessAborted(this.space.clear(this.#clearsDurably), options?.signal)
  }

  /** What becomes dead may lie below, where only the log's epoch hides it. */
  get #clearsDurably(): boolean {
    return this.#defaults?.durability === 'none' && this.#remote.store.hasTiers
  }

  async invalidateTags(tags: readonly string[], options?: CallOptions): Promise<void> {
    this.begin(options, 'invalidateTags()')
    const list = validateTags(tags, 'invalidateTags()')
    if (list.length === 0) return
    await unlessAborted(this.space.invalidateTags(list), options?.signal)
    if (this.#clearsDurably) await this.flush(options)
  }

  override namespace(name: string, options?: NamespaceOptions): Cache {
    this.ensureOpen()
    const fullName = nestedName(this.name, name)
    const given = options === undefined ? {} : validateNamespace(options, 'namespace()')
    checkHasTiers(given.durability, this.#remote.store.hasTiers, 'namespace()')
    const settings = { isFrozen: this.isFrozen, ...this.#remote.namespaces[fullName], ...given }
    return new RemoteCache(this.#remote, fullName, settings, false)
  }

  async flush(options?: CallOptions): Promise<void> {
    this.begin(options, 'flush()')
    await unlessAborted(this.#remote.store.flush(), options?.signal)
  }

  #writeOf(options: WriteOptions | undefined, where: string): ValidatedWrite | undefined {
    return options === undefined ? this.#defaults : this.#write(validateWrite(options, where), options, where)
  }

  /** With what this process says of the namespace where nothing was given. */
  #write(write: ValidatedWrite, options: CallOptions, where: string): ValidatedWrite {
    options.signal?.throwIfAborted()
    checkHasTiers(write.durability, this.#remote.store.hasTiers, where)
    return { ...this.#defaults, ...write }
  }
}

/** What a process that does not own the store says of its own caches. */
export interface RemoteSettings {
  /** For writes that are made here. */
  readonly namespaces: Namespaces
  readonly isFrozen: boolean
  readonly ownerTimeoutMs: number
}

/** The cache over a store that another process owns. */
export function remoteCache(store: RemoteStore, settings: RemoteSettings): Cache {
  const { namespaces, isFrozen, ownerTimeoutMs } = settings
  const lifetime = new RemoteLifetime(store, namespaces, ownerTimeoutMs)
  const own = { isFrozen, ...namespaces[defaultNamespace] }
  return registerEngine(new RemoteCache(lifetime, defaultNamespace, own, true), store, lifetime.blobs)
}
