/** The cache of the process that owns the store: reads, and writes that are checked before they touch anything. */
import type { Writable } from 'node:stream'
import { isDeepStrictEqual } from 'node:util'
import { RamcacheError, show } from '../base/errors.ts'
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
import {
  checkCanRefuse,
  checkHasTiers,
  type ValidatedNamespace,
  validateNamespace,
} from '../config/open-options.ts'
import type {
  CallOptions,
  CounterOptions,
  Durability,
  NamespaceOptions,
  SetOptions,
  WriteOptions,
  WriteStreamOptions,
} from '../config/options.ts'
import { cold, type Engine, type Space } from '../native/engine.ts'
import type { TierScans } from '../owner/scans.ts'
import type { OwnedBlobs } from './blobs.ts'
import { checkEntries, copyKey } from './entries.ts'
import { ownerFills } from './fill-side.ts'
import { type FillSide, getOrSet } from './get-or-set.ts'
import { NamedLimiter } from './limiter.ts'
import { lock, tryLock } from './locks.ts'
import { defaultNamespace, nestedName } from './namespace.ts'
import { attemptsMax, checkKeys, conflict, Lifetime, ReadCache } from './read-cache.ts'
import { BlobWriter } from './streams.ts'
import type { Cache, Key, Lease, Limiter } from './types.ts'
import { unlessAborted } from './unless-aborted.ts'
import { isFull, whenRoom } from './when-room.ts'

type Namespaces = Readonly<Record<string, ValidatedNamespace>>

class OwnerCache extends ReadCache<Space> implements Cache {
  readonly #engine: Engine
  readonly #blobs: OwnedBlobs
  readonly #namespaces: Namespaces
  readonly #ttlMs: number | undefined
  readonly #durability: Durability
  /** Entries of this namespace are dropped when the last tier is full. */
  readonly #isExpendable: boolean
  /** Options of a write that was given none; `undefined` when there is nothing to say. */
  readonly #defaults: ValidatedWrite | undefined
  #fills: FillSide | undefined

  constructor(
    lifetime: Lifetime,
    engine: Engine,
    blobs: OwnedBlobs,
    namespaces: Namespaces,
    name: string,
    settings: ValidatedNamespace,
    isRoot: boolean,
  ) {
    super(lifetime, engine.space(name), name, isRoot, settings.isFrozen ?? false)
    this.#engine = engine
    this.#blobs = blobs
    this.#namespaces = namespaces
    this.#ttlMs = settings.ttlMs
    this.#durability = settings.durability ?? (engine.hasTiers ? 'async' : 'none')
    const { ttlMs } = settings
    this.#isExpendable = settings.onFull === 'evict-coldest'
    applyTo(engine, name, settings)
    this.#defaults =
      ttlMs === undefined && this.#durability !== 'none'
        ? undefined
        : { ...(ttlMs === undefined ? {} : { ttlMs }), durability: this.#durability }
  }

  set(key: Key, value: unknown, options?: SetOptions): Promise<{ version: string } | undefined> {
    try {
      const write =
        options === undefined ? this.#defaults : this.#write(validateSet(options, 'set()'), options, 'set()')
      checkKey(key)
      const version = this.space.set(key, value, write)
      return version === undefined
        ? Promise.resolve(undefined)
        : this.#settled({ version }, write?.durability)
    } catch (error) {
      if (error === cold) return this.#setCold(key, value, options)
      if (isFull(error)) return this.#setFull(key, value, options)
      return Promise.reject(error)
    }
  }

  /** Gives an answer once the write before it is as safe as it was to be. */
  #settled<T>(answer: T, durability: Durability | undefined): Promise<T> {
    const settling = this.#engine.settle(durability ?? this.#durability)
    return settling === undefined ? Promise.resolve(answer) : settling.then(() => answer)
  }

  /** A conditional write of a key that RAM does not have. */
  async #setCold(key: Key, value: unknown, options?: SetOptions): Promise<{ version: string } | undefined> {
    const own = copyKey(key)
    await unlessAborted(this.space.resolve(own), options?.signal)
    return this.set(own, value, options)
  }

  /** A write that was refused for want of room. */
  async #setFull(key: Key, value: unknown, options?: SetOptions): Promise<{ version: string } | undefined> {
    const where = 'set()'
    const write =
      options === undefined ? this.#defaults : this.#write(validateSet(options, where), options, where)
    const version = await this.#decide(key, options, (own) => this.space.set(own, value, write))
    return version === undefined ? undefined : this.#settled({ version }, write?.durability)
  }

  /** Runs what depends on what there is, in whatever tier; again when RAM had to be told first. */
  async #decide<T>(key: Key, options: CallOptions | undefined, decision: (key: Key) => T): Promise<T> {
    let own = key
    for (;;) {
      try {
        return await whenRoom(this.#engine, () => decision(own), options?.signal)
      } catch (error) {
        if (error !== cold) throw error
        if (own === key) own = copyKey(key)
        await unlessAborted(this.space.resolve(own), options?.signal)
      }
    }
  }

  async setMany(entries: Iterable<readonly [Key, unknown]>, options?: WriteOptions): Promise<void> {
    const write = this.#writeOf(options, 'setMany()')
    this.ensureOpen()
    const list = checkEntries(entries)
    await whenRoom(this.#engine, () => this.space.setMany(list, write), options?.signal)
    await this.#settled(undefined, write?.durability)
  }

  async add(key: Key, value: unknown, options?: WriteOptions): Promise<boolean> {
    const write = this.#writeOf(options, 'add()')
    this.ensureOpen()
    checkKey(key)
    const isWritten = await this.#decide(
      key,
      options,
      (own) => this.space.set(own, value, { ...write, ifAbsent: true }) !== undefined,
    )
    return isWritten && this.#settled(true, write?.durability)
  }

  async delete(key: Key, options?: CallOptions): Promise<boolean> {
    this.begin(options, 'delete()')
    checkKey(key)
    return (
      (await this.#decide(key, options, (own) => this.space.delete(own))) && this.#settled(true, undefined)
    )
  }

  async deleteMany(keys: Iterable<Key>, options?: CallOptions): Promise<number> {
    this.begin(options, 'deleteMany()')
    let count = 0
    for (const key of checkKeys(keys, 'deleteMany()')) {
      if (await this.#decide(key, options, (own) => this.space.delete(own))) count++
    }
    return count === 0 ? 0 : this.#settled(count, undefined)
  }

  async pull<T = unknown>(key: Key, options?: CallOptions): Promise<T | undefined> {
    this.begin(options, 'pull()')
    checkKey(key)
    const own = copyKey(key)
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const entry = await this.anyEntry(own, options?.signal)
      if (entry === undefined) return undefined
      if (entry.value instanceof Manifest) throw blobError()
      const isTaken = await this.#decide(own, options, () => this.space.delete(own, entry.version))
      if (isTaken) return this.#settled(entry.value as T, undefined)
    }
    throw conflict('pull()', key)
  }

  async touch(key: Key, ttl?: number | string, options?: CallOptions): Promise<boolean> {
    this.begin(options, 'touch()')
    const ttlMs = ttl === undefined ? this.#ttlMs : parseDuration(ttl, 'ttl of touch()')
    checkKey(key)
    return (
      (await this.#decide(key, options, (own) => this.space.touch(own, ttlMs))) &&
      this.#settled(true, undefined)
    )
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
    checkHasTiers(counter?.durability, this.#engine.hasTiers, where)
    options?.signal?.throwIfAborted()
    this.ensureOpen()
    checkKey(key)
    if (!Number.isSafeInteger(by)) {
      const message = `${where} can only add whole numbers up to ±(2^53 - 1), not ${show(by)}`
      throw new RamcacheError('ERR_RAMCACHE_NOT_INTEGER', message)
    }
    // Not sign * by: that would be -0 for 0.
    const step = sign === 1 ? by : 0 - by
    const ttlMs = counter?.ttlMs ?? this.#ttlMs
    const durability = counter?.durability ?? this.#durability
    const sum = await this.#decide(key, options, (own) =>
      this.space.incr(own, step, counter?.init, ttlMs, durability),
    )
    return this.#settled(sum, durability)
  }

  async cas(key: Key, expected: unknown, value: unknown, options?: WriteOptions): Promise<boolean> {
    const write = this.#writeOf(options, 'cas()')
    this.ensureOpen()
    checkKey(key)
    const own = copyKey(key)
    const put = async (condition: ValidatedWrite) =>
      (await this.#decide(
        own,
        options,
        () => this.space.set(own, value, { ...write, ...condition }) !== undefined,
      )) && this.#settled(true, write?.durability)
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
      checkHasTiers(call.write.durability, this.#engine.hasTiers, 'getOrSet()')
      this.ensureOpen()
      checkKey(key)
      this.#fills ??= this.#fillSide()
      return getOrSet(this.#fills, this.lifetime.flights(this.name), key, factory, call)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  #fillSide(): FillSide {
    return ownerFills({
      space: this.space,
      namespace: this.name,
      isFrozen: this.isFrozen,
      ttlMs: this.#ttlMs,
      durability: this.#durability,
      decide: (key, decision) => this.#decide(key, undefined, decision),
      settled: (durability) => this.#settled(true, durability),
    })
  }

  createWriteStream(key: Key, options?: WriteStreamOptions): Writable {
    const write = this.#writeOf(options, 'createWriteStream()')
    this.ensureOpen()
    checkKey(key)
    // Bytes may be used for something else before the stream ends.
    const settle = () => this.#engine.settle(write?.durability ?? this.#durability)
    const target = {
      space: this.space,
      namespace: this.name,
      key: copyKey(key),
      write,
      settle,
      isExpendable: this.#isExpendable,
      whenRoom: <T>(work: () => T) => whenRoom(this.#engine, work, options?.signal),
    }
    return new BlobWriter(this.#blobs, target, options?.signal)
  }

  protected override async dropUnreadable(key: Key, version: string): Promise<void> {
    await this.#decide(key, undefined, (own) => this.space.delete(own, version))
  }

  async lock(key: Key, options?: LockOptions): Promise<Lease> {
    this.ensureOpen()
    return lock(this.#engine.locks, this.name, key, options, () => this.ensureOpen())
  }

  async tryLock(key: Key, options?: TryLockOptions): Promise<Lease | undefined> {
    this.ensureOpen()
    return tryLock(this.#engine.locks, this.name, key, options, () => this.ensureOpen())
  }

  limiter(name: string, options: LimiterOptions): Limiter {
    this.ensureOpen()
    const limits = () => {
      this.ensureOpen()
      return this.#engine.limits
    }
    return new NamedLimiter(limits, this.name, name, options)
  }

  async clear(options?: CallOptions): Promise<void> {
    this.begin(options, 'clear()')
    this.space.clear()
    await this.#settledEpoch()
  }

  async invalidateTags(tags: readonly string[], options?: CallOptions): Promise<void> {
    this.begin(options, 'invalidateTags()')
    this.space.invalidateTags(validateTags(tags, 'invalidateTags()'))
    await this.#settledEpoch()
  }

  /** What has become dead may lie below, where only the log's epoch hides it. */
  #settledEpoch(): Promise<void> {
    return this.#settled(undefined, this.#durability === 'none' && this.#engine.hasTiers ? 'sync' : undefined)
  }

  override namespace(name: string, options?: NamespaceOptions): Cache {
    this.ensureOpen()
    const fullName = nestedName(this.name, name)
    const given = options === undefined ? {} : validateNamespace(options, 'namespace()')
    checkHasTiers(given.durability, this.#engine.hasTiers, 'namespace()')
    checkCanRefuse(given.onFull, this.#engine.hasTiers, 'namespace()')
    const settings = { isFrozen: this.isFrozen, ...this.#namespaces[fullName], ...given }
    return new OwnerCache(
      this.lifetime,
      this.#engine,
      this.#blobs,
      this.#namespaces,
      fullName,
      settings,
      false,
    )
  }

  async flush(options?: CallOptions): Promise<void> {
    this.begin(options, 'flush()')
    await this.#engine.flush()
  }

  #writeOf(options: WriteOptions | undefined, where: string): ValidatedWrite | undefined {
    return options === undefined ? this.#defaults : this.#write(validateWrite(options, where), options, where)
  }

  /** With what the namespace says where nothing was given. */
  #write(write: ValidatedWrite, options: CallOptions, where: string): ValidatedWrite {
    options.signal?.throwIfAborted()
    checkHasTiers(write.durability, this.#engine.hasTiers, where)
    if (write.ttlMs === undefined && this.#ttlMs !== undefined) write.ttlMs = this.#ttlMs
    write.durability ??= this.#durability
    return write
  }
}

/** The cache of a store that this process owns, `namespaces` being the settings it was opened with. */
export function ownerCache(
  engine: Engine,
  blobs: OwnedBlobs,
  namespaces: Namespaces,
  isFrozen: boolean,
  stop?: () => Promise<void>,
  scans?: TierScans,
): Cache {
  const settings = { isFrozen, ...namespaces[defaultNamespace] }
  // Also of those that nobody uses yet.
  for (const [name, settings] of Object.entries(namespaces)) applyTo(engine, name, settings)
  const lifetime = new Lifetime(engine, blobs, stop, scans)
  return new OwnerCache(lifetime, engine, blobs, namespaces, defaultNamespace, settings, true)
}

/** What the store itself has to know of a namespace. */
function applyTo(engine: Engine, name: string, { onFull, pin, quotaBytes }: ValidatedNamespace): void {
  if (onFull !== undefined) engine.setMayDrop(name, onFull === 'evict-coldest')
  if (pin !== undefined) engine.setPins(name, pin)
  if (quotaBytes !== undefined) engine.setQuota(name, quotaBytes)
}
