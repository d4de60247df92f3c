/**
 * The contract of a tier: a place below RAM that stores bytes. A tier never decodes a value, reads no clock (whether
 * an entry has expired is the caller's to judge) and knows no other tier. `ramcache/tier-suite` tests all of this.
 *
 * Keys are a namespace id, two bytes big-endian, followed by the key's UTF-8: 3 to `tierKeyBytesMax` bytes, ordered as
 * bytes. Every method takes a batch, because a tier pays per call, per sync and per crossing of a thread.
 *
 * A version is the hybrid logical clock of a write as a bigint: one value to compare and to pass on. Where millions of
 * versions are compared (the packed batches of the log's index) they stay the two u32 that lie in the buffer; against
 * what a tier pays for one entry, a copy and a system call, a bigint costs nothing.
 */

/** A namespace id and the longest key the store takes. */
export const tierKeyBytesMax = 2 + 4096

export interface TierEntry {
  readonly key: Buffer
  /** Opaque. May be empty. */
  readonly record: Buffer
  readonly version: bigint
  /** Milliseconds since 1970; 0 = never. Kept for the caller. */
  readonly expiresAt: number
}

/** What `load` finds: the same bytes that were saved. */
export interface TierRecord {
  readonly record: Buffer
  readonly version: bigint
  readonly expiresAt: number
}

export interface TierDrop {
  readonly key: Buffer
  readonly version: bigint
}

/** An entry as `scan` shows it: without its record. */
export interface TierInfo {
  readonly key: Buffer
  readonly version: bigint
  readonly expiresAt: number
  readonly recordBytes: number
}

export interface TierPage {
  readonly entries: readonly TierInfo[]
  /** Where the next page begins; `undefined` after the last one. */
  readonly next: Buffer | undefined
}

export interface TierStats {
  readonly entries: number
  /** Keys and records as they were saved, before compression and overhead. */
  readonly bytes: number
}

/**
 * Before `open` and after `close` every other method rejects with `ERR_RAMCACHE_CLOSED`. `open` of what does not exist
 * creates it, of an open tier does nothing; `close` waits for the writes that were begun, and a second one does nothing. Writes of one tier take effect in the
 * order of their calls.
 */
export interface Tier {
  open(): Promise<void>
  close(): Promise<void>

  /** In the order of the keys, which may repeat. What was never saved, or was dropped, is `undefined`. */
  load(keys: readonly Buffer[]): Promise<(TierRecord | undefined)[]>

  /**
   * Resolves when the entries survive a power cut. **The version decides**: an entry that is not newer than the stored
   * one changes nothing, inside one batch too, so a save that is repeated or comes late is harmless. A save that
   * rejects may have stored some of its entries, each of them whole.
   */
  save(entries: readonly TierEntry[]): Promise<void>

  /**
   * Removes entries up to and including the given version and leaves newer ones: a drop that comes late removes
   * nothing it did not mean. What is not there is no error. Durable when it resolves. A tier keeps no tombstones: an
   * older save after a drop is stored again, and it is the caller who must not let that happen.
   */
  drop(keys: readonly TierDrop[]): Promise<void>

  /**
   * Entries whose key begins with `prefix`, in key order, at or after `from`, at most `limit` (1 or more). A page is
   * one short look: no snapshot is held between pages, so what is written meanwhile may or may not be seen, and what
   * stays is seen exactly once.
   */
  scan(prefix: Buffer, from: Buffer | undefined, limit: number): Promise<TierPage>

  stats(): Promise<TierStats>
}
