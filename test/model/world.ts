/**
 * Everything the protocols share: arena and disks, the memory of the owner process (locks, queue of changes to log,
 * leases), the near caches of its clients, and the clock. A version is a clock word: milliseconds times a thousand and
 * a count. `mutant` names the one guard that is missing.
 */

import type { Prng } from '../../src/base/prng.ts'
import { Arena, type Meta, type Slot } from './arena.ts'
import { Disk, type Entry } from './disk.ts'
import type { Mutant } from './mutants.ts'
import { CEILING_AHEAD_MS, type CrashKind, type Key, type Steps, type Value, WAITING } from './subject.ts'

const WORDS_PER_MS = 1000
export const WALL_START_MS = 100

/** Queue and epoch name of a whole namespace; tags have their own name. */
export const NAMESPACE = '*'
export const EPOCH_PREFIX = '@'

export interface Lease {
  readonly clock: number
  readonly token: number
}

export interface NearEntry {
  readonly value: Value
  readonly slot: Slot
  readonly bucket: number
  readonly position: number
  readonly generation: number
  readonly changeCounter: number
  readonly expiresAtMs: number
}

export class World {
  readonly mutant: Mutant | undefined
  readonly disk = new Disk()
  arena = new Arena(1, WALL_START_MS * WORDS_PER_MS, true)
  wallMs = WALL_START_MS
  readonly locks = new Set<string>()
  /** Keys and epochs the log has not got yet, oldest change first. */
  readonly queue = new Set<string>()
  readonly leases = new Map<number, Lease>()
  readonly nearCaches = new Map<number, Map<Key, NearEntry>>()
  /** Only mutants keep these outside the arena. */
  readonly processEpochs = new Map<string, number>()
  readonly processExpiry = new Map<Key, number>()
  readonly processDeletes = new Map<Key, number>()
  readonly #random: Prng

  constructor(random: Prng, mutant?: Mutant) {
    this.#random = random
    this.mutant = mutant
    this.#raiseCeiling()
  }

  is(mutant: Mutant): boolean {
    return this.mutant === mutant
  }

  // --- time -------------------------------------------------------------------------------------------------------

  nowMs(): number {
    return Math.max(this.wallMs, Math.floor(this.arena.highest / WORDS_PER_MS))
  }

  /** A clock word larger than any before it, over restarts too. */
  tick(): number {
    this.arena.highest = Math.max(this.arena.highest + 1, this.wallMs * WORDS_PER_MS)
    this.#raiseCeiling()
    return this.arena.highest
  }

  advance(ms: number): void {
    this.wallMs += ms
    this.arena.highest = Math.max(this.arena.highest, this.wallMs * WORDS_PER_MS)
    this.#raiseCeiling()
  }

  /** The ceiling is synced before a word at or past it is given out. */
  #raiseCeiling(): void {
    const highestMs = Math.floor(this.arena.highest / WORDS_PER_MS)
    if (highestMs >= this.disk.ceilingMs) this.disk.ceilingMs = highestMs + CEILING_AHEAD_MS
  }

  // --- what is alive ----------------------------------------------------------------------------------------------

  epochOf(name: string): number {
    return Math.max(this.arena.epochs.get(name) ?? 0, this.processEpochs.get(name) ?? 0)
  }

  isExpired(record: { readonly key: Key; readonly expiresAtMs: number }): boolean {
    const nowMs = this.is('expiryByWallClock') ? this.wallMs : this.nowMs()
    return nowMs >= (this.processExpiry.get(record.key) ?? record.expiresAtMs)
  }

  isBehindEpoch(born: number, tags: readonly string[]): boolean {
    return born <= this.epochOf(NAMESPACE) || tags.some((tag) => born <= this.epochOf(tag))
  }

  isAlive(meta: Meta): boolean {
    return !meta.isTombstone && !this.isExpired(meta) && !this.isBehindEpoch(meta.born, meta.tags)
  }

  isOfOtherArena(entry: Entry): boolean {
    if (this.is('spilledNoneOutlivesArena')) return false
    return entry.arena !== undefined && entry.arena !== this.arena.id
  }

  isAliveBelow(entry: Entry): boolean {
    if (entry.kind !== 'put' || this.isOfOtherArena(entry)) return false
    if (entry.version < (this.processDeletes.get(entry.key) ?? 0)) return false
    return !this.isExpired(entry) && !this.isBehindEpoch(entry.born, entry.tags)
  }

  // --- locks ------------------------------------------------------------------------------------------------------

  *lock(name: string): Steps {
    while (this.locks.has(name)) yield WAITING
    this.locks.add(name)
  }

  unlock(names: Iterable<string>): void {
    for (const name of names) this.locks.delete(name)
  }

  /**
   * Locks the buckets of these keys. A split may move a key while its lock is awaited, so the choice is made again
   * once the locks are held. LOCK order: buckets by number, then the group lock; no other lock under these.
   */
  *lockKeys(keys: readonly Key[]): Steps<Map<Key, number>> {
    for (;;) {
      const buckets = new Map(keys.map((key) => [key, this.arena.bucketOf(key)]))
      yield 'bucket chosen'
      const names = bucketLocks(buckets)
      for (const name of names) yield* this.lock(name)
      const isCurrent = keys.every((key) => this.arena.bucketOf(key) === buckets.get(key))
      if (isCurrent || this.is('writerKeepsBucketOverSplit')) return buckets
      this.unlock(names)
    }
  }

  unlockKeys(buckets: Map<Key, number>): void {
    this.unlock(bucketLocks(buckets))
  }

  // --- crashes ----------------------------------------------------------------------------------------------------

  crash(kind: CrashKind): void {
    this.locks.clear()
    this.queue.clear()
    this.leases.clear()
    this.processEpochs.clear()
    this.processExpiry.clear()
    this.processDeletes.clear()
    if (kind === 'kill') return
    this.disk.powerCut(this.#random)
    this.nearCaches.clear()
    const restartMs = this.is('noClockCeiling') ? this.wallMs : Math.max(this.wallMs, this.disk.ceilingMs)
    const isFilterTrusted = this.is('filterEmptyAfterRestart')
    this.arena = new Arena(this.arena.id + 1, restartMs * WORDS_PER_MS, isFilterTrusted)
    this.#raiseCeiling()
  }
}

const bucketLocks = (buckets: Map<Key, number>): string[] =>
  [...new Set(buckets.values())].sort((a, b) => a - b).map((bucket) => `bucket ${bucket}`)
