/** What the native part has for locks and limiters: `locks.rs` and `limits.rs` in `native/node/src`. */

/** A thread that may hold locks. */
export interface NativeLockHolder {
  readonly __locks: unique symbol
}

export interface LockBinding<Handle> {
  openLocks(handle: Handle, bell: () => void): NativeLockHolder
  closeLocks(holder: NativeLockHolder): void
  lockKey(
    holder: NativeLockHolder,
    namespace: number,
    key: Uint8Array,
    ttlMs: number,
    ticket: number | undefined,
  ): { token?: bigint; isQueued: boolean; pid: number; leftMs: number }
  takeGrants(holder: NativeLockHolder): { ticket: number; token: bigint }[]
  cancelLock(holder: NativeLockHolder, ticket: number): boolean
  unlockKey(holder: NativeLockHolder, namespace: number, key: Uint8Array, token: bigint): boolean
  renewLock(
    holder: NativeLockHolder,
    namespace: number,
    key: Uint8Array,
    token: bigint,
    ttlMs: number,
  ): boolean
  askLimit(
    handle: Handle,
    namespace: number,
    name: string,
    key: Uint8Array,
    limit: { points: number; windowMs: number; warn: number; penaltyMs: number },
    points: number,
    countsAll: boolean,
  ): { isAllowed: boolean; consumed: number; isWarned: boolean; retryAfterMs: number; resetMs: number }
  resetLimit(handle: Handle, namespace: number, name: string, key: Uint8Array): boolean
}
