/** Callbacks of the native part for one namespace. */

/** Callbacks bound to one namespace; see `native/node/src/space.rs` for the control words they share. */
export interface NativeSpace {
  get(key: string | Uint8Array): string | number | Buffer | undefined
  has(key: string | Uint8Array): boolean
  entry(
    key: string | Uint8Array,
  ):
    | [
        value: Buffer,
        type: number,
        version: string,
        createdAt: number,
        expiresAt: number,
        size: number,
        tags: Buffer,
        idleMs: number,
        deadline: number,
      ]
    | undefined
  /** `entry` without a trace: not counted, no use of the entry, no sliding expiry extended. */
  peek(key: string | Uint8Array): ReturnType<NativeSpace['entry']>
  group(): number
  /** With 1 only volatile entries, the bytes of its key in front of each. */
  scan(
    bucketCount: number,
    bucket: number,
    prefix: string,
    wantsVolatile?: 0 | 1,
  ): (number | string | Buffer)[]
  set(key: string | Uint8Array, value: string | Uint8Array): string | undefined
  setMany(packed: Uint8Array): void
  delete(key: string | Uint8Array): boolean
  touch(key: string | Uint8Array, ttlMs: number): boolean
  incr(key: string | Uint8Array, by: number): number | undefined
  /** `isPinned`: 1 or 0. */
  pin(key: string | Uint8Array, isPinned: number): boolean
  /** 0 absent, 1 pinned, 2 has to wait for the log, 3 has left RAM. */
  demote(key: string | Uint8Array): number
  clear(): void
  /** 0 fresh, 1 granted, 2 busy, 3 paused; the token; what is stale. */
  lease(
    key: string | Uint8Array,
    leaseMs: number,
    refreshes: 0 | 1,
  ): [state: number, token: string | undefined, stale: ReturnType<NativeSpace['entry']>]
  abandon(key: string | Uint8Array, tokenHigh: number, tokenLow: number, pauseMs: number): boolean
  /** Tags in their encoded form. */
  invalidate(tags: Uint8Array): void
  ask(key: string | Uint8Array, asker: number, purpose: number): number
  /**
   * Takes back the miss that a read counted: it was found in the SSD tier (1) or the HDD tier (2), or is going to be read
   * again (0). In an attached process only 0, and 3 for the hit of a read that slides: the owner counts what it is asked.
   */
  settle(tier: 0 | 1 | 2 | 3): void
  close(): void
  hits(): number
  misses(): number
  retries(): number
  /** Number of the namespace and of the counter slot. */
  place(): [number, number]
}
