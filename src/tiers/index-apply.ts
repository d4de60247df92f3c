/**
 * What a change does to the rows of the log's index. Runs inside a transaction that somebody else opened.
 *
 * **The version decides, never the order of arrival.** A change older than its row loses. At the same version both are
 * the same write, and the later place in the log wins: a drain has copied the record there. So applying a part of the
 * log again changes nothing, and a batch may be committed in pieces.
 */
import { flagCopy } from './index-batch.ts'
import {
  checkOf,
  comparePlaces,
  corruptRow,
  isRowSound,
  kindClear,
  kindDelete,
  kindSet,
  rowAt,
  rowBytes,
  storedKey,
} from './index-row.ts'
import type { IndexState } from './index-state.ts'
import { namespaceBytes } from './keys.ts'
import { compareU64 } from './u64.ts'

/** The part of an LMDB database that is used inside a transaction. */
export interface RowStore {
  /** The returned bytes hold until the next call. */
  getBinaryFast(key: Buffer): Buffer | undefined
  put(key: Buffer, value: Buffer): unknown
  remove(key: Buffer): unknown
}

export interface ApplyOptions {
  /** A delete leaves a row, because an older version may lie in a tier below. */
  readonly keepTombstones: boolean
  /**
   * The log is read from its first file into an empty index: copies are taken like the writes they copy, whose file may
   * be gone. Needs `keepTombstones`, or a copy that was appended after its key's delete would revive it.
   */
  readonly isRebuild: boolean
}

/** What a batch did. */
export interface Outcome {
  applied: number
  /** Older than what stands, or before a clear. */
  outdated: number
  /** Bytes of records that no row leads to any more, by file: what the log may reclaim. */
  readonly freed: Map<number, number>
  /** Bytes of records that a row leads to now, by file. */
  readonly gained: Map<number, number>
}

export function freshOutcome(): Outcome {
  return { applied: 0, outdated: 0, freed: new Map(), gained: new Map() }
}

export class Applier {
  readonly #path: string
  readonly #rows: RowStore
  readonly #tombstones: RowStore
  readonly #options: ApplyOptions
  /** LMDB copies from here during `put`; never pooled, so its address stays. */
  readonly #row = Buffer.allocUnsafeSlow(rowBytes)

  constructor(path: string, rows: RowStore, tombstones: RowStore, options: ApplyOptions) {
    this.#path = path
    this.#rows = rows
    this.#tombstones = tombstones
    this.#options = options
  }

  /** A set or a delete. `head` is where its 32 bytes begin in `batch`; `epoch` 8 bytes, or `undefined` without a clear. */
  change(
    batch: Buffer,
    head: number,
    key: Buffer,
    epoch: Buffer | undefined,
    state: IndexState,
    outcome: Outcome,
  ): void {
    const isDead = epoch !== undefined && compareU64(batch, head + 16, epoch, 0) <= 0
    const stored = storedKey(key)
    const old = isDead ? undefined : this.#find(stored)
    if (isDead || !this.#wins(batch, head, old)) {
      outcome.outdated++
      return
    }
    outcome.applied++
    if (old !== undefined) this.#leave(old, state, outcome)
    const kind = batch[head + 2]
    if (kind === kindDelete && !this.#options.keepTombstones) {
      if (old !== undefined) this.#rows.remove(stored)
      return
    }
    const row = this.#row
    row[rowAt.kind] = kind as number
    row[rowAt.flags] = batch[head + 3] as number
    row.writeUInt16LE(0, 2)
    batch.copy(row, rowAt.file, head + 4, head + 32)
    this.#put(stored, row)
    addTo(outcome.gained, row.readUInt32LE(rowAt.file), row.readUInt32LE(rowAt.bytes))
    if (kind === kindSet) {
      state.rows++
      state.bytes += row.readUInt32LE(rowAt.bytes)
    } else {
      state.tombstones++
      this.#tombstones.put(tombstoneKey(row.readBigUInt64LE(rowAt.clock), stored), noBytes)
    }
  }

  /** Gives a row a new place, or removes it, if it has just the old one. `head` is where the 20 bytes of the move begin. */
  move(batch: Buffer, head: number, key: Buffer, state: IndexState, outcome: Outcome): void {
    const stored = storedKey(key)
    const old = this.#find(stored)
    if (old === undefined || comparePlaces(old, rowAt.file, batch, head + 4) !== 0) {
      outcome.outdated++
      return
    }
    if (batch.readUInt32LE(head + 12) === 0) {
      this.#leave(old, state, outcome)
      this.#rows.remove(stored)
      outcome.applied++
      return
    }
    const row = this.#row
    // LMDB's buffer is longer than it says.
    row.set(old.subarray(0, rowBytes))
    batch.copy(row, rowAt.file, head + 12, head + 20)
    this.#put(stored, row)
    addTo(outcome.freed, batch.readUInt32LE(head + 4), row.readUInt32LE(rowAt.bytes))
    addTo(outcome.gained, row.readUInt32LE(rowAt.file), row.readUInt32LE(rowAt.bytes))
    outcome.applied++
  }

  /** Removes the row of `stored` if `isMeant` says so. */
  remove(stored: Buffer, isMeant: (row: Buffer) => boolean, state: IndexState, outcome: Outcome): void {
    const old = this.#find(stored)
    if (old === undefined || !isMeant(old)) {
      outcome.outdated++
      return
    }
    this.#leave(old, state, outcome)
    this.#rows.remove(stored)
    outcome.applied++
  }

  #find(stored: Buffer): Buffer | undefined {
    const row = this.#rows.getBinaryFast(stored)
    if (row !== undefined && !isRowSound(stored, row)) throw corruptRow(this.#path, stored)
    return row
  }

  #wins(batch: Buffer, head: number, old: Buffer | undefined): boolean {
    const isCopy = ((batch[head + 3] as number) & flagCopy) !== 0 && !this.#options.isRebuild
    if (old === undefined) return !isCopy
    const order = compareU64(batch, head + 16, old, rowAt.clock)
    if (order !== 0) return order > 0 && !isCopy
    // A value stands over the delete that covers what it replaced.
    if (batch[head + 2] !== old[rowAt.kind]) return batch[head + 2] === kindSet
    return comparePlaces(batch, head + 4, old, rowAt.file) > 0
  }

  /** A row goes or is replaced. */
  #leave(old: Buffer, state: IndexState, outcome: Outcome): void {
    const bytes = old.readUInt32LE(rowAt.bytes)
    if (old[rowAt.kind] === kindSet) {
      state.rows--
      state.bytes -= bytes
    } else {
      state.tombstones--
    }
    addTo(outcome.freed, old.readUInt32LE(rowAt.file), bytes)
  }

  #put(stored: Buffer, row: Buffer): void {
    row.writeUInt32LE(checkOf(stored, row), rowAt.check)
    this.#rows.put(stored, row)
  }
}

const noBytes = Buffer.allocUnsafeSlow(1).fill(0)
const clockBytes = 8

/** Tombstones in the order of their versions: the clock, big-endian, and the key their row lies under. */
export function tombstoneKey(clock: bigint, stored: Buffer): Buffer {
  const key = Buffer.alloc(clockBytes + stored.length)
  key.writeBigUInt64BE(clock)
  stored.copy(key, clockBytes)
  return key
}

export function readTombstoneKey(key: Buffer): { clock: bigint; stored: Buffer } {
  return { clock: key.readBigUInt64BE(), stored: key.subarray(clockBytes) }
}

export function isClear(batch: Buffer, head: number): boolean {
  return batch[head + 2] === kindClear
}

export function namespaceOf(key: Uint8Array): number {
  return ((key[0] as number) << 8) | (key[1] as number)
}

export function namespaceKey(namespace: number): Buffer {
  const key = Buffer.allocUnsafeSlow(namespaceBytes)
  key.writeUInt16BE(namespace)
  return key
}

function addTo(counts: Map<number, number>, key: number, value: number): void {
  counts.set(key, (counts.get(key) ?? 0) + value)
}
