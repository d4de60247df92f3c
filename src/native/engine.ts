/**
 * The typed face of the native store, as the rest of the package sees it. One `Engine` is an open store in one
 * thread (worker threads of a process share the store itself); one `Space` is one namespace of it. Everything here
 * is synchronous and touches only the RAM tier. Values cross as the application sees them: encoding and decoding
 * happen inside, with the codec given to `openEngine`.
 */

import type { Manifest } from '../codec/blob.ts'
/** Thrown by a call that RAM alone cannot decide: resolve the key and call again. */
export const cold = Symbol('cold')

export type Key = string | Uint8Array

/** Names of what the store keeps for itself begin with a space, which no namespace of a user can. */
export const structuresNamespace = ' structures'
export const blobsNamespace = ' blobs'
export const tagsNamespace = ' tags'

/** What a write survives: nothing, a killed process at once and a power cut within a second, a power cut at once. */
export type Durability = 'none' | 'async' | 'sync'

/** What became of an entry that was to leave RAM. */
export type Demotion = 'absent' | 'pinned' | 'waits' | 'moved'

/** Conditions and properties of one write. Times are milliseconds. */
export interface WriteOptions {
  readonly ttlMs?: number
  readonly idleMs?: number
  /** Instead of what follows from the two above: when it expires, and when a sliding entry ends at the latest. */
  readonly expiresAt?: number
  readonly deadline?: number
  /** How long the value is kept after its expiry, for who takes a stale one. */
  readonly graceMs?: number
  /** The token of a lease: write only while it is out. */
  readonly lease?: string
  readonly tags?: readonly string[]
  /** Write only when the live entry has this version. */
  readonly ifVersion?: string
  readonly ifAbsent?: boolean
  readonly ifPresent?: boolean
  /** Only `'none'` makes a difference to the record: it outlives no arena. */
  readonly durability?: Durability
}

export interface EntryInfo {
  readonly key: string
  /** Bytes of key and encoded value. */
  readonly size: number
  /** Opaque; grows with every write of the key. */
  readonly version: string
  readonly createdAt: number
  readonly expiresAt: number | undefined
  readonly tags: readonly string[]
  readonly tier: 'ram' | 'ssd' | 'hdd'
}

export interface Entry extends EntryInfo {
  /** Decoded; of a blob its `Manifest`. */
  readonly value: unknown
}

/** All there is to know of an entry: what makes it the same one elsewhere. */
export interface WholeEntry extends Entry {
  /** Sliding expiry; 0 = none. */
  readonly idleMs: number
  /** When a sliding entry ends at the latest; 0 = never. */
  readonly deadline: number
}

/** Who computes a missing value. */
export interface Leased {
  /**
   * `fresh`: there is a value, read it. `granted`: the caller computes it. `busy`: somebody else does. `paused`: that has
   * failed a short while ago, and there is a stale value.
   */
  readonly state: 'fresh' | 'granted' | 'busy' | 'paused'
  /** Of what was granted. */
  readonly token: string | undefined
  /** What is there past its expiry, within its grace. */
  readonly stale: Entry | undefined
}

/** A key as it is: bytes when it is no UTF-8. */
export interface KeyPage {
  readonly keys: readonly { readonly key: Key; readonly size: number }[]
  readonly cursor: ScanCursor | undefined
}

export interface ScanPage {
  readonly entries: EntryInfo[]
  /** Undefined when the scan is complete. */
  readonly cursor: ScanCursor | undefined
}

/** Opaque position of a scan: buckets as they stood when the scan began. */
export interface ScanCursor {
  readonly bucketCount: number
  readonly bucket: number
}

/** Read side of one namespace: the owner and an attached process have it. */
export interface ReadSpace {
  /** Whether the store has tiers below RAM that this process can ask. */
  readonly reachesBelow: boolean
  /**
   * Right after a read that found nothing, before anything else is called: whether a lower tier may have the key. Then
   * `fetch`, `fetchEntry` or `fetchHas` goes on from there.
   */
  readonly isCold: boolean
  /** The decoded value from whatever tier has it. */
  fetch(key: Key): Promise<unknown>
  fetchEntry(key: Key): Promise<Entry | undefined>
  fetchHas(key: Key): Promise<boolean>
  /** `getMany` in all tiers, on its own. */
  fetchMany(keys: readonly Key[]): Promise<Map<Key, unknown>>
  /** The decoded value; `undefined` is a miss, `null` is a stored null. */
  get(key: Key): unknown
  /** The same, deeply frozen where that protects all of it, and then perhaps the one that others got. */
  getFrozen(key: Key): unknown
  /** Hits only, keys as given; one consistent view of group writes. */
  getMany(keys: readonly Key[]): Map<Key, unknown>
  getEntry(key: Key): Entry | undefined
  has(key: Key): boolean
  /** `getEntry` for housekeeping: neither counted nor a use of the entry. */
  peek(key: Key): Entry | undefined
  /** `peek` in whatever tier has it; it stays where it is. Rejects with what a lower tier failed with. */
  look(key: Key): Promise<Entry | undefined>
  /** `look` that leaves nothing out. */
  lookWhole(key: Key): Promise<WholeEntry | undefined>
  /** `scan` of RAM for keys that need not be text. */
  scanKeys(cursor: ScanCursor | undefined): KeyPage
  /** A page of entries whose key starts with `prefix`. Every entry that lives through the whole scan is seen once. */
  scan(cursor: ScanCursor | undefined, prefix: string): ScanPage
  /** The same of entries that only RAM has, with the bytes of each key as a latin1 string. */
  scanVolatile(
    cursor: ScanCursor | undefined,
    prefix: string,
  ): { readonly entries: [string, EntryInfo][]; readonly cursor: ScanCursor | undefined }
}

/**
 * Both sides of one namespace, in the owner. A call whose outcome depends on what there is throws `cold` when RAM does not know the key and a lower tier may.
 */
export interface Space extends ReadSpace {
  /** Brings what the lower tiers know of a key into RAM. */
  resolve(key: Key): Promise<void>
  /** The new version, or `undefined` when a condition did not hold. */
  set(key: Key, value: unknown, options?: WriteOptions): string | undefined
  /** All or nothing, seen at once by `getMany`. */
  setMany(entries: Iterable<readonly [Key, unknown]>, options?: WriteOptions): void
  /** Whether a live entry was removed; with `ifVersion`, only that version of it. */
  delete(key: Key, ifVersion?: string): boolean
  /** New time to live from now; `undefined` removes the expiry. False when the key is absent. */
  touch(key: Key, ttlMs: number | undefined): boolean
  /** Pins an entry, so that it never leaves RAM, or lets it go. False when the key is absent. */
  pin(key: Key, isPinned: boolean): boolean
  /** Takes an entry out of RAM, where there are tiers below; `waits`: only when everything written so far is on disk. */
  demote(key: Key): Demotion
  /** The new number. A missing key is created from `init` when given. Throws ERR_RAMCACHE_NOT_INTEGER. */
  incr(key: Key, by: number, init?: number, ttlMs?: number, durability?: Durability): number
  clear(): void
  /** Makes every entry dead that has one of these tags and was written before. */
  invalidateTags(tags: readonly string[]): void
  /** Stores bytes that may be dropped when the last tier is full, whatever the namespace says of others. */
  setExpendable(key: Key, bytes: Uint8Array): void
  /** Publishes a blob. Only this makes a manifest: no value of a user can be one. */
  setManifest(key: Key, manifest: Manifest, options?: WriteOptions): string
  /** Stores bytes of the store's own that are never evicted, decided by what RAM has: `ifVersion` of the entry to replace, none for a key that must be absent. */
  setPinned(key: string, bytes: Uint8Array, ifVersion: string | undefined, ttlMs?: number): boolean
  /** Removes whatever there may be, in whatever tier, without looking. */
  discard(key: Key): void
  /**
   * Asks for the lease of a key; with `refreshes` also when its value is fresh. It ends with a write of the key, with
   * `abandon`, when this space is closed, and after `leaseMs` as soon as somebody else asks.
   */
  lease(key: Key, leaseMs: number, refreshes: boolean): Leased
  /** Gives a lease up; nobody gets another one for `pauseMs`, as long as there is a stale value. Whether it was still out. */
  abandon(key: Key, token: string, pauseMs: number): boolean
}

/** What became of an attempt to take a lock; `pid` 0 when nobody knows whose it is. */
export type LockAttempt =
  | { readonly kind: 'locked'; readonly token: string }
  | { readonly kind: 'held' | 'queued'; readonly pid: number; readonly leftMs: number }

/** Told of a lock that was waited for: its token, or `undefined` when the line is lost and has to be joined again. */
export type Come = (token: string | undefined) => void

/** Locks that are released when this holder ends. A lock of one namespace is not one of another. */
export interface Locks {
  /** A place in line, to ask with. */
  ticket(come: Come): number
  forget(ticket: number): void
  /** With a ticket, who asks gets in line when somebody else has the lock, and stays there when it asks again. */
  lock(namespace: string, key: Key, ttlMs: number, ticket?: number): Promise<LockAttempt>
  /** Leaves the line. False when the ticket is in none: then `come` is called, or was. */
  cancel(namespace: string, key: Key, ticket: number): Promise<boolean>
  /** False when it is not held with this token any more. */
  unlock(namespace: string, key: Key, token: string): Promise<boolean>
  /** The same. A new time to live from now on. */
  renew(namespace: string, key: Key, token: string, ttlMs: number): Promise<boolean>
}

/** What a limiter allows; 0 = no warning, no penalty. */
export interface LimitTerms {
  readonly points: number
  readonly windowMs: number
  readonly warn: number
  readonly penaltyMs: number
}

export interface LimitAnswer {
  readonly isAllowed: boolean
  /** In the window, with what was admitted just now. */
  readonly consumed: number
  readonly isWarned: boolean
  readonly retryAfterMs: number
  readonly resetMs: number
}

export interface Limits {
  /** Points that count if they are admitted, 0 to look; with `countsAll` they count in any case, or are taken back. */
  ask(
    namespace: string,
    name: string,
    key: Key,
    terms: LimitTerms,
    points: number,
    countsAll: boolean,
  ): Promise<LimitAnswer>
  /** Whether anything was counted. */
  reset(namespace: string, name: string, key: Key): Promise<boolean>
}

export interface NamespaceCounters {
  readonly entries: number
  readonly bytes: number
  readonly hits: number
  readonly misses: number
  /** Of a namespace with a quota: what it takes of RAM, everything counted. */
  readonly ramBytes?: number
  readonly quotaBytes?: number
}

export interface LatencyCounters {
  readonly p50Us: number
  readonly p99Us: number
  readonly p999Us: number
  readonly maxUs: number
}

/** Plain numbers out of the store; `Stats` in `cache/` is made of these. */
export type Start =
  | { readonly kind: 'fresh' }
  /** With the arena of an owner that died: live entries, and those that had to be dropped as damaged. */
  | { readonly kind: 'adopted'; readonly entries: number; readonly dropped: number }
  /** There was an arena, and it could not be taken over. */
  | { readonly kind: 'refused'; readonly why: string }

export interface TierCounters {
  readonly entries: number
  readonly bytes: number
  readonly hits: number
  readonly demotedIn: number
  readonly promotedOut: number
  readonly evictions: number
}

export interface EngineCounters {
  readonly entries: number
  /** Bytes of live keys and encoded values. */
  readonly bytes: number
  readonly budgetBytes: number
  /** Everything allocated beyond `bytes`: index, headers, padding, ghost, free segments held ahead. */
  readonly overheadBytes: number
  readonly hits: number
  readonly misses: number
  readonly sets: number
  readonly deletes: number
  readonly expired: number
  readonly evictions: number
  readonly spilledBytes: number
  readonly backPressure: number
  readonly clients: number
  readonly sequence: number
  /** What the owner began with; null in an attached process. */
  readonly start: Start | null
  /** Null without tiers below RAM, and in an attached process. */
  readonly below: {
    readonly ssd: TierCounters
    readonly hdd: TierCounters
    readonly durability: {
      readonly dirtyBytes: number
      readonly flushLagMs: number
      readonly poisoned: boolean
      readonly replayedBytes: number
    }
  } | null
  readonly latencyGet: LatencyCounters
  readonly latencySet: LatencyCounters
  readonly namespaces: Readonly<Record<string, NamespaceCounters>>
}

export interface ReadEngine {
  readonly ownerPid: number
  /** What the owner is there for: its clients, or something of its own. */
  readonly mode: 'daemon' | 'embedded'
  space(namespace: string): ReadSpace
  counters(): EngineCounters
  /** Whether anybody has opened it, here or in another thread. */
  hasNamespace(name: string): boolean
  close(): void
}

export interface Engine extends ReadEngine {
  readonly locks: Locks
  readonly limits: Limits
  space(namespace: string): Space
  /** New budget in bytes; the store shrinks or grows to it in the background. */
  resize(budgetBytes: number): void
  /** Walks the whole arena and throws when anything in it disagrees; for tests and `doctor`. */
  check(): void
  /**
   * What a write waits for before it is acknowledged, called right after it; `undefined` when that is nothing. Where
   * shared memory dies with this process, that is the log even for `async`. With `none` it is the delete of what the
   * write has replaced in a lower tier.
   */
  settle(durability: Durability): Promise<void> | undefined
  /** Whether entries of a namespace are pinned when they are written. */
  setPins(namespace: string, pins: boolean): void
  /** Bytes of RAM after which entries of a namespace leave before those of others. */
  setQuota(namespace: string, bytes: number): void
  /** Whether entries of a namespace may be dropped when the last tier is full. */
  setMayDrop(namespace: string, mayDrop: boolean): void
  mayDrop(namespace: string): boolean
  /** Whether what was refused for want of room on the disk may succeed soon. */
  readonly isMakingRoom: boolean
  /** Whether there is anything below RAM for a write to survive in. */
  readonly hasTiers: boolean
  /** Resolves when every change made so far survives a power cut. Without tiers below RAM, at once. */
  flush(): Promise<void>
}
