/**
 * The cache of a process that opened a directory which another one owned: it works by that owner, and takes the store over
 * when the owner is gone and no other process was faster. Caches and namespaces the application holds stay the same.
 *
 * ```text
 * remote -> taking over -> remote (another was faster)
 *                       -> own: for good, until it is closed
 * ```
 *
 * Calls under way when this process becomes the owner wait for an answer over the socket, now its own, and calls that follow
 * go the same way until all of them have it: so writes stay in the order in which they were made.
 */

import type { Readable, Writable } from 'node:stream'
import { systemClock } from '../base/clock.ts'
import { RamcacheError } from '../base/errors.ts'
import { isWithoutOwner, socketOf } from '../client/failover.ts'
import { RemoteStore } from '../client/remote-store.ts'
import type { Factory, GetOrSetOptions } from '../config/get-or-set-options.ts'
import type { LimiterOptions } from '../config/limiter-options.ts'
import type { ValidatedOpen } from '../config/open-options.ts'
import type { CallOptions, CloseOptions, GetOptions, NamespaceOptions } from '../config/options.ts'
import { blobsOf, engineOf, homeOf, registerEngine } from './internal.ts'
import { remoteCache } from './remote-cache.ts'
import type { Cache, Entry, EntryInfo, Key, Lease, Limiter, Stats } from './types.ts'

/** Between two attempts to find an owner for the first time. */
const pauseMs = 20

/** Opens a store as its owner. Rejects with ERR_RAMCACHE_LOCKED when another process has it. */
export type Own = (options: ValidatedOpen) => Promise<Cache>

class Placement {
  readonly #options: ValidatedOpen
  readonly #own: Own
  readonly #store: RemoteStore
  #remote: Cache | undefined
  #owner: Cache | undefined
  #root: Cache | undefined
  #takingOver: Promise<void> | undefined
  #closing: Promise<void> | undefined
  /** Called when this process works with its own store. */
  onOwn: (owner: Cache) => void = () => {}

  constructor(options: ValidatedOpen, own: Own) {
    this.#options = options
    this.#own = own
    const { dir, ownerTimeoutMs, nearEntries } = options
    const link = {
      timeoutMs: ownerTimeoutMs,
      isHeir: true,
      path: () => socketOf(dir),
      whileDown: () => this.#tryToOwn(),
    }
    this.#store = new RemoteStore(link, nearEntries)
  }

  /** What calls go to now. */
  get root(): Cache {
    return this.#root as Cache
  }

  /** Finds an owner, or becomes it. */
  async open(): Promise<void> {
    const { ownerTimeoutMs } = this.#options
    const deadlineMs = nowMs() + ownerTimeoutMs
    for (;;) {
      try {
        await this.#store.link.open()
        this.#remote = remoteCache(this.#store, this.#options)
        this.#root = this.#remote
        return
      } catch (error) {
        await this.#tryToOwn()
        if (this.#root !== undefined) return
        if (nowMs() >= deadlineMs || isFinal(error)) throw error
      }
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
    }
  }

  close(options?: CloseOptions): Promise<void> {
    this.#closing ??= this.#end(options)
    return this.#closing
  }

  async #end(options?: CloseOptions): Promise<void> {
    // First what goes over the socket, which may be this process's own.
    await (this.#remote?.close(options) ?? this.#store.link.close(0))
    await this.#takingOver
    await this.#owner?.close(options)
  }

  #tryToOwn(): Promise<void> {
    if (this.#owner !== undefined || this.#closing !== undefined) return Promise.resolve()
    this.#takingOver ??= this.#takeOver().finally(() => {
      this.#takingOver = undefined
    })
    return this.#takingOver
  }

  async #takeOver(): Promise<void> {
    const { dir, ssd } = this.#options
    const hasJoined = this.#remote !== undefined
    // Whoever has other tiers than the store would hide what lies in them.
    if (hasJoined && this.#store.hasTiers !== (ssd !== undefined)) return
    if (!isWithoutOwner(dir)) return
    // The budget is the store's: another one might not fit the memory that is taken over.
    const memory = hasJoined ? { memoryBytes: this.#store.counters().budgetBytes } : {}
    try {
      this.#owner = await this.#own({ ...this.#options, ...memory })
    } catch (error) {
      if (error instanceof RamcacheError && error.code === 'ERR_RAMCACHE_LOCKED') return
      throw error
    }
    if (this.#closing !== undefined) return
    void this.#switchWhenIdle(this.#owner)
  }

  async #switchWhenIdle(owner: Cache): Promise<void> {
    if (this.#store.link.pending > 0) await this.#store.link.idle()
    this.#root = owner
    this.onOwn(owner)
  }
}

class JoinedCache implements Cache {
  readonly #placement: Placement
  /** Makes the cache that calls go to out of the root of a placement. */
  readonly #of: (root: Cache) => Cache
  readonly #isRoot: boolean
  #root: Cache
  #target: Cache
  #isClosed = false

  constructor(placement: Placement, of: (root: Cache) => Cache, isRoot: boolean) {
    this.#placement = placement
    this.#of = of
    this.#isRoot = isRoot
    this.#root = placement.root
    this.#target = of(placement.root)
  }

  #now(): Cache {
    if (this.#root !== this.#placement.root && !this.#isClosed) {
      this.#root = this.#placement.root
      this.#target = this.#of(this.#root)
    }
    return this.#target
  }

  get<T = unknown>(key: Key, options?: GetOptions): Promise<T | undefined> {
    return this.#now().get<T>(key, options)
  }

  getSync<T = unknown>(key: Key, options?: GetOptions): T | undefined {
    return this.#now().getSync<T>(key, options)
  }

  getMany<T = unknown, K extends Key = string>(keys: Iterable<K>, options?: CallOptions): Promise<Map<K, T>> {
    return this.#now().getMany<T, K>(keys, options)
  }

  getEntry<T = unknown>(key: Key, options?: CallOptions): Promise<Entry<T> | undefined> {
    return this.#now().getEntry<T>(key, options)
  }

  has(...args: Parameters<Cache['has']>): Promise<boolean> {
    return this.#now().has(...args)
  }

  scan(...args: Parameters<Cache['scan']>): AsyncIterable<EntryInfo> {
    return this.#now().scan(...args)
  }

  createReadStream(...args: Parameters<Cache['createReadStream']>): Promise<Readable> {
    return this.#now().createReadStream(...args)
  }

  stats(...args: Parameters<Cache['stats']>): Promise<Stats> {
    return this.#now().stats(...args)
  }

  set(...args: Parameters<Cache['set']>): ReturnType<Cache['set']> {
    return this.#now().set(...args)
  }

  setMany(...args: Parameters<Cache['setMany']>): Promise<void> {
    return this.#now().setMany(...args)
  }

  add(...args: Parameters<Cache['add']>): Promise<boolean> {
    return this.#now().add(...args)
  }

  delete(...args: Parameters<Cache['delete']>): Promise<boolean> {
    return this.#now().delete(...args)
  }

  deleteMany(...args: Parameters<Cache['deleteMany']>): Promise<number> {
    return this.#now().deleteMany(...args)
  }

  pull<T = unknown>(key: Key, options?: CallOptions): Promise<T | undefined> {
    return this.#now().pull<T>(key, options)
  }

  touch(...args: Parameters<Cache['touch']>): Promise<boolean> {
    return this.#now().touch(...args)
  }

  incr(...args: Parameters<Cache['incr']>): Promise<number> {
    return this.#now().incr(...args)
  }

  decr(...args: Parameters<Cache['decr']>): Promise<number> {
    return this.#now().decr(...args)
  }

  cas(...args: Parameters<Cache['cas']>): Promise<boolean> {
    return this.#now().cas(...args)
  }

  getOrSet<T = unknown>(key: Key, factory: Factory<T>, options?: GetOrSetOptions): Promise<T> {
    return this.#now().getOrSet(key, factory, options)
  }

  createWriteStream(...args: Parameters<Cache['createWriteStream']>): Writable {
    return this.#now().createWriteStream(...args)
  }

  lock(...args: Parameters<Cache['lock']>): Promise<Lease> {
    return this.#now().lock(...args)
  }

  tryLock(...args: Parameters<Cache['tryLock']>): Promise<Lease | undefined> {
    return this.#now().tryLock(...args)
  }

  limiter(name: string, options: LimiterOptions): Limiter {
    const of = () => this.#now().limiter(name, options)
    // Here, so that what is wrong with it is said now.
    of()
    return {
      name,
      consume: async (...args) => of().consume(...args),
      get: async (...args) => of().get(...args),
      penalty: async (...args) => of().penalty(...args),
      reward: async (...args) => of().reward(...args),
      delete: async (...args) => of().delete(...args),
    }
  }

  clear(...args: Parameters<Cache['clear']>): Promise<void> {
    return this.#now().clear(...args)
  }

  invalidateTags(...args: Parameters<Cache['invalidateTags']>): Promise<void> {
    return this.#now().invalidateTags(...args)
  }

  flush(...args: Parameters<Cache['flush']>): Promise<void> {
    return this.#now().flush(...args)
  }

  namespace(name: string, options?: NamespaceOptions): Cache {
    // Here, so that what is wrong with it is said now.
    this.#now().namespace(name, options)
    return new JoinedCache(this.#placement, (root) => this.#of(root).namespace(name, options), false)
  }

  async close(options?: CloseOptions): Promise<void> {
    this.#isClosed = true
    await (this.#isRoot ? this.#placement : this.#target).close(options)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** Joins whoever owns the directory; or owns it, when nobody does any more. */
export async function joinedCache(options: ValidatedOpen, own: Own): Promise<Cache> {
  const placement = new Placement(options, own)
  try {
    await placement.open()
  } catch (error) {
    await placement.close()
    throw error
  }
  const cache = new JoinedCache(placement, (root) => root, true)
  const stand = (root: Cache) => registerEngine(cache, engineOf(root), blobsOf(root), homeOf(root))
  placement.onOwn = stand
  return stand(placement.root)
}

/** Waiting does not change it. */
function isFinal(error: unknown): boolean {
  if (!(error instanceof RamcacheError)) return true
  return error.code === 'ERR_RAMCACHE_CORRUPT' || error.code === 'ERR_RAMCACHE_LOCKED'
}

function nowMs(): number {
  return systemClock.monotonicUs() / 1000
}
