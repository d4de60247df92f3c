/** Public types of every option: units, defaults and limits are in their comments; the checks are beside this file. */
import type { Duration } from './duration.ts'
import type { Size } from './size.ts'

export interface OpenOptions {
  /** Directory of the store; created when missing. One process at a time owns it. Required. */
  dir: string
  /**
   * RAM for everything the store holds, keys, values and index: bytes or `'512mb'`, at least 512 KiB. A budget, not a
   * limit on what can be set: the coldest entries leave when it is used up. Default `'auto'`, a third of the RAM this
   * process may use.
   */
  memory?: Size | 'auto'
  /**
   * Where entries go that leave RAM, and what survives a stop. `ssd`: a directory on a fast disk, by default `ssd` in
   * `dir`; `false` keeps everything in RAM, and then the coldest entries are gone when the budget is used up. `hdd`: a
   * directory on a large disk, for what nobody has read for long when the SSD tier has no more room; default `false`.
   */
  tiers?: { ssd?: SsdOptions | false; hdd?: HddOptions | false }
  /** Settings by namespace name; `default` is the namespace of the cache that `open` returns. */
  namespaces?: Record<string, NamespaceOptions>
  /**
   * Values that each namespace keeps decoded in each thread, each given out only while the entry in memory is unchanged:
   * strings, numbers, arrays and plain objects of at most 4 KiB, 1 KiB on average. 0 keeps none; at most 1,000,000.
   * Default 8,192.
   */
  nearEntries?: number
  /** As of namespaces, for all of them. */
  frozen?: boolean
  /** Path of the socket, by default `ramcache.sock` in `dir`. `false`: no other process can connect. */
  listen?: string | false
  /** In a process that has joined another one: see `ConnectOptions`. */
  ownerTimeout?: Duration
}

export interface SsdOptions {
  /** Directory; created when missing. Default: `ssd` in the directory of the store. */
  path?: string
  /**
   * Space of the file system that stays free: bytes or `'10gb'`. With an HDD tier, the coldest entries go there before the
   * SSD tier takes more. Default: a twentieth of the file system, at most 4 GiB.
   */
  floor?: Size
  /**
   * Bytes that log and index may take, at least 16 MiB. Beyond, with an HDD tier, the coldest entries go there; without one
   * those go that a namespace lets go (`onFull`). Default: no limit but `floor`.
   */
  budget?: Size
  /**
   * Bytes of its files that are gone through in a second to give space back, copying what is needed; at least 1 MiB. Not
   * kept to when space is short. Default: 32 MiB while there are writes, no limit while there are none.
   */
  ioBudget?: Size
}

export interface HddOptions {
  /** Directory; created when missing. Once a store has an HDD tier it is only opened with it. Required. */
  path: string
  /** Space of the file system that stays free: below it no more entries come down. Default as for the SSD tier. */
  floor?: Size
  /** Bytes of keys and records, before compression, beyond which no more come down; at least 16 MiB. Default: no limit. */
  budget?: Size
  /** Bytes of records that come down in a second, at least 1 MiB, unless the SSD is short of space. Default: no limit. */
  ioBudget?: Size
}

/** What a write survives once it is acknowledged; see `WriteOptions`. */
export type Durability = 'none' | 'async' | 'sync'

/** What a full last tier does: see `NamespaceOptions`. */
export type OnFull = 'error' | 'evict-coldest'

export interface NamespaceOptions {
  /** Time to live of entries set without one. Default: they stay until deleted or evicted. */
  ttl?: Duration
  /**
   * What writes survive that do not say: see `WriteOptions`. Default `'async'`; without a disk (`tiers: { ssd: false }`)
   * `'none'`, which is all that is possible there.
   */
  durability?: Durability
  /**
   * Arrays and plain objects are returned deeply frozen and may be the same one for several callers: no copy, no decoding,
   * when the entry has not changed. What freezing does not protect (with a Buffer, typed array, Date, Map or Set in it)
   * is a fresh copy as ever. Default false.
   */
  frozen?: boolean
  /**
   * What happens when the last tier is full (its budget used up, or its disk down to its floor). `'error'`, the default:
   * entries stay, and when the disk takes no more, writes are refused with ERR_RAMCACHE_FULL. `'evict-coldest'`: entries
   * of this namespace that nobody has read for long are dropped, and all writes wait for that. Without a disk
   * (`tiers: { ssd: false }`) the coldest entries always go.
   */
  onFull?: OnFull
  /**
   * Entries that are written from now on never leave RAM, and are there again after a restart, whatever their durability.
   * All pinned entries of a store may take half of the memory there is for entries; beyond, writes are refused with
   * ERR_RAMCACHE_FULL. Default false.
   */
  pin?: boolean
  /**
   * Bytes of RAM, everything counted (`'64mb'`, at least 4 KiB). Not a limit: while there is room the namespace may have
   * more. Beyond it, whenever room has to be made, its entries leave RAM and those of others stay. Pinned entries are not
   * counted. Default: none.
   */
  quota?: Size
  /** Who must have a write before it is acknowledged. `'local'` is the only value this version supports. */
  ack?: 'local'
}

/** As of `tls.connect()` of Node; certificates and keys are PEM, not paths. */
export interface ConnectTlsOptions {
  /** Who vouches for the daemon, in place of the authorities that Node knows. */
  ca?: string | Buffer | (string | Buffer)[]
  /** What this client shows, where the daemon asks for it. */
  cert?: string | Buffer
  key?: string | Buffer
  passphrase?: string
  /** The name that the certificate of the daemon must have. Default: the host. */
  servername?: string
  /** `false` takes any certificate: whoever is on the way can read and change everything. Default `true`. */
  rejectUnauthorized?: boolean
}

export interface ConnectOptions {
  /**
   * How long a call that needs the owner waits for one when none is to be reached, before it rejects with
   * ERR_RAMCACHE_UNAVAILABLE: ms or `'5s'`, at most an hour. Default 10 s.
   */
  ownerTimeout?: Duration
  /** As of `open()`. */
  nearEntries?: number
  /** As of `open()`. */
  frozen?: boolean
  /** For `redis://` and `rediss://`, in place of one in the URL. */
  password?: string
  /** For `rediss://`. */
  tls?: ConnectTlsOptions
}

export interface AttachOptions {
  /** Directory of a store that another process has open. Required. */
  dir: string
  /** As of `open()`. */
  nearEntries?: number
  /** As of `open()`. */
  frozen?: boolean
}

export interface GetOptions extends CallOptions {
  /** As of namespaces. Default: what the namespace says. */
  frozen?: boolean
}

export interface CallOptions {
  /** When already aborted, the call rejects with `signal.reason` and does nothing. */
  signal?: AbortSignal
}

export interface WriteOptions extends CallOptions {
  /** Time to live, from now. Default: that of the namespace. At least 1 ms, at most 10 years. */
  ttl?: Duration
  /**
   * The entry expires when it was not read for this long; at least 1 ms, at most 49 days. With `ttl` as well, it ends
   * at that at the latest.
   */
  idle?: Duration
  /** Labels of the entry, each 1 to 255 bytes of UTF-8; together at most 1,024 bytes, with one more for each. */
  tags?: readonly string[]
  /**
   * What the write survives once it is acknowledged. `'none'`: the end of this process, where the next owner takes its memory over; nothing else.
   * `'async'`: the end of this process, and a power cut a second later. `'sync'`: a power cut; costs a disk flush, which
   * writes at the same time share. Default: that of the namespace.
   */
  durability?: Durability
  /** `'local'` is the only level this version supports, and its default. */
  ack?: 'local'
}

export interface SetOptions extends WriteOptions {
  /** Write only when the live entry has this version, as `set` and `getEntry` returned it. */
  ifVersion?: string
  /** Write only when there is no live entry. */
  ifAbsent?: boolean
  /** Write only when there is a live entry. */
  ifPresent?: boolean
}

export interface CounterOptions extends CallOptions {
  /** Number a missing key starts from, before `by` is added. Default: a missing key is an error. */
  init?: number
  /** Time to live of an entry that `init` creates; a counter that exists keeps its own. */
  ttl?: Duration
  /** See `WriteOptions`. */
  durability?: Durability
}

export interface ScanOptions extends CallOptions {
  /** Only keys that start with this. */
  prefix?: string
  /** Only keys that match this glob: `*`, `?`, `[a-z]`, `[^a-z]`, and `\` before a character to take it as it is. */
  match?: string
  /** Only entries of this tier. */
  tier?: 'ram' | 'ssd' | 'hdd'
  /** End after this many entries. Default: no end. */
  limit?: number
}

export interface ReadStreamOptions {
  /** First byte. Default 0. At or past the end of a value that is not empty: ERR_RAMCACHE_CONFIG. */
  start?: number
  /** Last byte, inclusive as in `fs`. Default, and for all beyond: the last one there is. */
  end?: number
  /** When aborted before, the call rejects with `signal.reason`; when aborted later, the stream is destroyed. */
  signal?: AbortSignal
}

/** `signal` destroys the stream: nothing is published. */
export type WriteStreamOptions = WriteOptions

export interface CloseOptions {
  /** How long unwritten changes may take to reach the disk. This version has none, so it never waits. */
  timeout?: Duration
}
