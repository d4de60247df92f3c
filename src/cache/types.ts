/** The public face: what `open()` and `attach()` return. */
import type { Readable, Writable } from 'node:stream'
import type { Key } from '../codec/key.ts'
import type { Factory, GetOrSetOptions } from '../config/get-or-set-options.ts'
import type { LimiterOptions } from '../config/limiter-options.ts'
import type { LockOptions, TryLockOptions } from '../config/lock-options.ts'
import type {
  CallOptions,
  CloseOptions,
  CounterOptions,
  GetOptions,
  NamespaceOptions,
  ReadStreamOptions,
  ScanOptions,
  SetOptions,
  WriteOptions,
  WriteStreamOptions,
} from '../config/options.ts'

export type { Key }

/** What is known of an entry without its value. */
export interface EntryInfo {
  readonly key: string
  /** Bytes of the key and of the encoded value; of a blob, the bytes that a stream of it gives. */
  readonly size: number
  /** Opaque. Each write of the key makes a new one, which sorts after the old one as a string. */
  readonly version: string
  /** Milliseconds since 1970. */
  readonly createdAt: number
  /** Milliseconds since 1970; `undefined` when the entry does not expire. */
  readonly expiresAt: number | undefined
  readonly tags: readonly string[]
  /** Where it lies. */
  readonly tier: 'ram' | 'ssd' | 'hdd'
  /** There when a stream wrote it. */
  readonly isBlob?: true
}

export interface Entry<T = unknown> extends EntryInfo {
  /** Of a blob `undefined`. */
  readonly value: T
}

/**
 * The reading half, and all that an attached process has. Every method throws (`getSync`) or rejects with
 * ERR_RAMCACHE_CLOSED after `close`, with ERR_RAMCACHE_KEY for what is no key, and with ERR_RAMCACHE_CONFIG for
 * options that are unknown or malformed. With an aborted `signal` it rejects with the signal's reason.
 */
export interface ReadonlyCache extends AsyncDisposable {
  /**
   * The value, or `undefined` when there is none: a stored null comes back as null. The value is a fresh copy, unless
   * `frozen` was asked for. As all that return values, it rejects with ERR_RAMCACHE_VALUE for a blob.
   */
  get<T = unknown>(key: Key, options?: GetOptions): Promise<T | undefined>
  /** The same at once, without a promise, from memory alone. Never blocks. */
  getSync<T = unknown>(key: Key, options?: GetOptions): T | undefined
  /** What was found, by the keys as they were given; entries of one `setMany` are seen together or not at all. */
  getMany<T = unknown, K extends Key = string>(keys: Iterable<K>, options?: CallOptions): Promise<Map<K, T>>
  /** The value and what is known about it. */
  getEntry<T = unknown>(key: Key, options?: CallOptions): Promise<Entry<T> | undefined>
  has(key: Key, options?: CallOptions): Promise<boolean>
  /**
   * Every entry that lives from the beginning to the end of the scan, once, in no particular order. Others may or may
   * not be seen.
   */
  scan(options?: ScanOptions): AsyncIterable<EntryInfo>
  /**
   * Another key space in the same store. Names are 1 to 64 visible ASCII characters other than `/`; calling it on a
   * namespace gives one inside it (`a/b`), apart from those inside other namespaces. Closing the result leaves the
   * store open.
   */
  namespace(name: string): ReadonlyCache
  /**
   * The bytes of a blob, or of a value that is bytes or text; with `start` and `end`, which is inclusive, only the
   * chunks of that range are read. The stream goes on undisturbed when the key is written again, deleted or expires
   * meanwhile; in an attached cache, which cannot hold the store back, for at least 15 seconds.
   *
   * Rejects with ERR_RAMCACHE_UNAVAILABLE when there is no such entry, with ERR_RAMCACHE_VALUE when it is of another
   * kind, and with ERR_RAMCACHE_CONFIG for a start past its end. The stream fails with ERR_RAMCACHE_UNAVAILABLE when
   * bytes of the blob are gone, as they are after an eviction where there are no tiers (in an attached cache, when they
   * are not in memory), and with what a tier failed with: it never just ends early.
   */
  createReadStream(key: Key, options?: ReadStreamOptions): Promise<Readable>
  /** Counts over all namespaces and processes, as `ramcache stats --json` prints them. */
  stats(options?: CallOptions): Promise<Stats>
  /** Closing again does nothing. */
  close(options?: CloseOptions): Promise<void>
}

/** A lock that was got. It ends when it is released, with its time to live, or with the cache it was taken by. */
export interface Lease extends AsyncDisposable {
  readonly key: Key
  /**
   * The fencing token: 18 digits, larger with each lease on the key, as text and as a number. What the lock protects
   * should refuse whoever comes with a smaller one than it has seen.
   */
  readonly token: string
  /**
   * A new time to live from now on: `ttl`, or that of the lock. Rejects with ERR_RAMCACHE_LOCKED when the lease is lost; it
   * does not come back then, even if nobody else has taken the lock.
   */
  renew(ttl?: number | string, options?: CallOptions): Promise<void>
  /** Whether it was held until now. What has become somebody else's lock is left alone. */
  release(options?: CallOptions): Promise<boolean>
}

export interface LimiterResult {
  /** Of `consume`: whether the points were admitted, and so counted. Else: whether one point would be. */
  readonly allowed: boolean
  readonly limit: number
  /** Points in the window, with those admitted just now. */
  readonly consumed: number
  /** Points that are left in the window. */
  readonly remaining: number
  /** `warn` or more points are in the window. */
  readonly warned: boolean
  /** Milliseconds until what was denied would be admitted, if nothing else is; 0 = now. */
  readonly retryAfterMs: number
  /** Milliseconds until nothing that was counted counts any more; 0 = that is so. */
  readonly resetMs: number
}

/**
 * A sliding window for each key, shared by all processes of the machine and kept by the clock of the store. In no window of
 * its length are more than `limit` points admitted; up to a 32nd of it more is looked back at than that. What is denied is not counted. All
 * methods reject with ERR_RAMCACHE_CONFIG for what is no number of points, and with ERR_RAMCACHE_KEY for a key of more
 * than 4,029 bytes; the key may be left out, or be empty.
 */
export interface Limiter {
  readonly name: string
  /** Asks for points, 1 by default, and counts them if they are admitted. */
  consume(key?: Key, points?: number, options?: CallOptions): Promise<LimiterResult>
  /** Asks for nothing. */
  get(key?: Key, options?: CallOptions): Promise<LimiterResult>
  /** Counts points in any case, beyond the limit too. */
  penalty(key?: Key, points?: number, options?: CallOptions): Promise<LimiterResult>
  /** Takes points back, the newest first. */
  reward(key?: Key, points?: number, options?: CallOptions): Promise<LimiterResult>
  /** Forgets what was counted, and that the key is denied. Whether there was anything. */
  delete(key?: Key, options?: CallOptions): Promise<boolean>
}

/** A cache and key-value store in memory that other processes can read. Errors are `RamcacheError`s. */
export interface Cache extends ReadonlyCache {
  /**
   * Stores a value: null, booleans, numbers, bigints, strings, Buffers, typed arrays, Dates, and arrays, plain
   * objects, Maps and Sets of these. The new version, or `undefined` when a condition did not hold.
   *
   * Rejects with ERR_RAMCACHE_VALUE, naming the path, for everything else and for more than an eighth of the
   * memory budget (64 MiB at most); with
   * ERR_RAMCACHE_CONFIG for conditions that contradict each other; with ERR_RAMCACHE_FULL when nothing can make room.
   */
  set(key: Key, value: unknown, options?: SetOptions): Promise<{ version: string } | undefined>
  /** Stores all of them, or none: other readers see the group at once. The last of equal keys counts. */
  setMany(entries: Iterable<readonly [Key, unknown]>, options?: WriteOptions): Promise<void>
  /** Stores the value if there is none; whether it did. */
  add(key: Key, value: unknown, options?: WriteOptions): Promise<boolean>
  /** Whether there was an entry. */
  delete(key: Key, options?: CallOptions): Promise<boolean>
  /** How many there were. One after the other, not as a group. */
  deleteMany(keys: Iterable<Key>, options?: CallOptions): Promise<number>
  /** The value, which is deleted: of callers at the same time exactly one gets it. */
  pull<T = unknown>(key: Key, options?: CallOptions): Promise<T | undefined>
  /**
   * A new time to live from now on, the value unchanged; whether there was an entry. Without `ttl` that of the
   * namespace; if it has none, the entry stays until it is deleted or evicted.
   */
  touch(key: Key, ttl?: number | string, options?: CallOptions): Promise<boolean>
  /**
   * Adds `by`, 1 by default, and returns the sum. Rejects with ERR_RAMCACHE_NOT_INTEGER when the entry is missing and
   * there is no `init`, when its value is not a whole number, and when the sum would leave ±(2^53 - 1).
   */
  incr(key: Key, by?: number, options?: CounterOptions): Promise<number>
  /** Subtracts `by`; otherwise as `incr`. */
  decr(key: Key, by?: number, options?: CounterOptions): Promise<number>
  /**
   * Stores `value` if the entry holds `expected` (`undefined`: if there is none); whether it did. Values are compared
   * deeply and strictly. Expiry and tags become those of a `set` with these options. Rejects with
   * ERR_RAMCACHE_CONFLICT when other writers were always faster.
   */
  cas(key: Key, expected: unknown, value: unknown, options?: WriteOptions): Promise<boolean>
  /**
   * The value of the key; where there is none, what `factory` returns, which is stored. Of all callers of the machine one
   * computes and the others wait for it, or take a stale value where they give a `grace`. `undefined` is not stored, `null`
   * is. What was computed before the key was written, deleted or cleared is never stored over that, nor given to a caller
   * that came after it.
   *
   * Rejects with what the factory throws, with ERR_RAMCACHE_TIMEOUT after `hardTimeout`, with ERR_RAMCACHE_KEY and
   * ERR_RAMCACHE_CONFIG; with what is wrong with the cache itself only where `strict` is true.
   */
  getOrSet<T = unknown>(key: Key, factory: Factory<T>, options?: GetOrSetOptions): Promise<T>
  /**
   * Stores a blob: a value of any length, of which no more than two chunks (256 KiB each at most) are in this process.
   * The entry appears, or is replaced, as a whole and at once, before 'finish'; with tiers, its bytes are on disk by
   * then. A stream that is destroyed or fails
   * leaves nothing behind.
   *
   * Throws ERR_RAMCACHE_KEY, ERR_RAMCACHE_CONFIG and ERR_RAMCACHE_CLOSED; the stream fails with ERR_RAMCACHE_FULL.
   */
  createWriteStream(key: Key, options?: WriteStreamOptions): Writable
  /**
   * Takes the lock of a name in this namespace, which has nothing to do with entries. One holder at a time, over all
   * processes of the machine; who waits gets it in turn. It is released by `release`, when its `ttl` (30 s) is over, and when
   * this cache is closed or its process ends. Locks are never evicted. They outlive the owner of the store, but not the store.
   *
   * Rejects with ERR_RAMCACHE_LOCKED, naming the holder, when `wait` (10 s) is over; with ERR_RAMCACHE_KEY for a name
   * of more than 4,094 bytes; with ERR_RAMCACHE_FULL when pinned entries and locks take half of the memory.
   */
  lock(key: Key, options?: LockOptions): Promise<Lease>
  /** The same without waiting; `undefined` when somebody else has it, or stands in line for it. */
  tryLock(key: Key, options?: TryLockOptions): Promise<Lease | undefined>
  /**
   * A limiter of this namespace: `limit` points in each `window`. It has nothing to do with entries and is on no disk; it ends
   * with the store. Whoever uses the same name shares it, and should give the same options.
   */
  limiter(name: string, options: LimiterOptions): Limiter
  /** Removes every entry of this namespace at once, however many. Namespaces inside it stay. */
  clear(options?: CallOptions): Promise<void>
  /**
   * Removes every entry of this namespace that has one of these tags, in every tier, at once: one write for each tag,
   * however many entries have it. Entries written afterwards live, with the same tags too. At most 1,024 tags at a time.
   *
   * The store remembers one tag for each 4 KiB of its memory budget. Past that the oldest are forgotten, and with them
   * the tagged entries of their namespace that are older still: misses, as if they had been evicted.
   */
  invalidateTags(tags: readonly string[], options?: CallOptions): Promise<void>
  namespace(name: string, options?: NamespaceOptions): Cache
  /** Resolves when everything written so far survives a power cut; without tiers below RAM, at once. */
  flush(options?: CallOptions): Promise<void>
}

export interface LatencyStats {
  readonly p50Us: number
  readonly p99Us: number
  readonly p999Us: number
  readonly maxUs: number
}

export interface DiskTierStats {
  readonly entries: number
  readonly bytes: number
  readonly hits: number
  readonly demotedIn: number
  readonly promotedOut: number
  /** Entries that were dropped because the tier was full: `onFull: 'evict-coldest'`. */
  readonly evictions: number
}

export interface NamespaceStats {
  readonly entries: number
  readonly bytes: number
  readonly hits: number
  readonly misses: number
  readonly hitRate: number
  /** Of a namespace with a `quota`: what it takes of RAM, everything counted, and the quota. */
  readonly ramBytes?: number
  readonly quotaBytes?: number
}

/** Counts since the store was opened. Sizes are bytes, rates 0 to 1; what this version does not have is 0. */
export interface Stats {
  readonly version: string
  readonly uptimeSeconds: number
  readonly owner: { readonly pid: number; readonly mode: 'daemon' | 'embedded' }
  /** Attached processes. */
  readonly clients: number
  readonly hits: number
  readonly misses: number
  readonly hitRate: number
  readonly sets: number
  readonly deletes: number
  readonly expired: number
  /** Sampled, in the store itself: without the time of the call and of decoding. */
  readonly latency: { readonly get: LatencyStats; readonly set: LatencyStats }
  readonly tiers: {
    readonly ram: {
      readonly entries: number
      /** Keys and encoded values. */
      readonly bytes: number
      readonly budgetBytes: number
      /** Everything else in memory: index, headers, padding, room held ready. */
      readonly overheadBytes: number
      readonly hits: number
      readonly evictions: number
    }
    readonly ssd: DiskTierStats
    readonly hdd: DiskTierStats
  }
  readonly namespaces: Readonly<Record<string, NamespaceStats>>
  readonly durability: {
    readonly dirtyBytes: number
    readonly flushLagMs: number
    readonly poisoned: boolean
    /** What the start had to read of the log: 0 after a clean stop. */
    readonly replayedBytes: number
  }
  readonly peers: readonly {
    readonly id: string
    readonly state: string
    readonly lagMs: number
    readonly lagOps: number
  }[]
}
