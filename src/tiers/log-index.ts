/**
 * The LMDB index of the value log: for each key the place of its record, for the whole the place in the log up to
 * which it is complete. The log is the truth, the index can be rebuilt from it.
 *
 * Three databases in one file, `index.mdb`: `rows` (`index-row.ts`), `tombstones` (keys of tombstone rows by version)
 * and `meta` (the state, `index-state.ts`, and the epoch of each namespace that was ever cleared).
 *
 * One object in one thread writes. Any thread of the process may open another one with `isReader`.
 */
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { assert } from '../base/assert.ts'
import {
  Applier,
  freshOutcome,
  isClear,
  namespaceKey,
  namespaceOf,
  type Outcome,
  readTombstoneKey,
  tombstoneKey,
} from './index-apply.ts'
import { changeHeadBytes, checkBatch, moveHeadBytes } from './index-batch.ts'
import {
  checkedStoredKey,
  corruptRow,
  isHashedKey,
  isRowSound,
  type Row,
  readRow,
  rowAt,
} from './index-row.ts'
import { type IndexState, ownerBytesMax, type Position } from './index-state.ts'
import { type Apply, IndexStore, pieceEntriesFor, pieceEntriesMax } from './index-store.ts'
import { checkLimit, keyAfter, keyAfterPrefix, laterKey } from './keys.ts'
import { LmdbFile } from './lmdb-file.ts'
import { compareU64 } from './u64.ts'

export type { Row } from './index-row.ts'
export type { Position } from './index-state.ts'

export interface LogIndexOptions {
  /** Only reads; for the threads beside the one that writes. */
  readonly isReader?: boolean
  /** Leave a row for each delete, until `removeTombstones`: there is a tier below. */
  readonly keepTombstones?: boolean
  /** The log is being read from its start into an empty index. Keeps tombstones. */
  readonly isRebuild?: boolean
  /** Reads every page of the file before it is trusted: after a crash of the process, or on demand. */
  readonly verify?: boolean
  /** Memory of the store: a part of it is what one transaction may take. */
  readonly memoryBytes?: number
  /** A commit is refused when the file system would have less than this left. */
  readonly freeBytesMin?: number
}

/** A row as `scan` shows it. */
export interface ScanRow {
  /** The entry's key, or the key its row lies under when `isHashed`. */
  readonly key: Buffer
  readonly isHashed: boolean
  readonly row: Row
}

/** A delete that the tier below must hear of. */
export interface Tombstone {
  /** The key its row lies under. */
  readonly key: Buffer
  readonly clock: bigint
}

export interface ScanRows {
  readonly rows: readonly ScanRow[]
  readonly next: Buffer | undefined
}

/** A batch of changes that is larger than is held in memory: parts, each in key order and behind the one before. */
export interface ChangeParts {
  /** Entries of all parts; that of the only one, when not given. */
  readonly count?: number
  /** The next part, which holds until the next call. */
  next(): Buffer
}

function onePart(changes: Buffer): ChangeParts {
  return { next: () => changes }
}

/** Rows looked at in one read transaction: a few milliseconds. */
const scanRowsMax = 10_000
const freeBytesMinDefault = 64 * 1024 * 1024
const fileName = 'index.mdb'

export class LogIndex {
  readonly path: string
  readonly #file: LmdbFile
  readonly #applier: Applier
  readonly #store: IndexStore

  static async open(dir: string, options: LogIndexOptions = {}): Promise<LogIndex> {
    const path = join(dir, fileName)
    const { isReader = false, verify = false, freeBytesMin = freeBytesMinDefault } = options
    const file = new LmdbFile(path, { isReader, verify, freeBytesMin })
    try {
      const index = new LogIndex(file, options)
      if (verify) index.#checkRows()
      return index
    } catch (error) {
      await file.close()
      throw error
    }
  }

  private constructor(file: LmdbFile, options: LogIndexOptions) {
    this.path = file.path
    this.#file = file
    const isRebuild = options.isRebuild === true
    const keepTombstones = options.keepTombstones === true || isRebuild
    this.#applier = new Applier(file.path, file.rows, file.tombstones, { keepTombstones, isRebuild })
    const { memoryBytes } = options
    const pieceEntries = memoryBytes === undefined ? pieceEntriesMax : pieceEntriesFor(memoryBytes)
    this.#store = new IndexStore(file, options.isReader === true, pieceEntries)
  }

  /**
   * Applies packed changes (`index-batch.ts`) and sets the position they reach; `owner` replaces what the owner keeps
   * beside it. Resolves when all of it is synced. After a rejection the position is the old one.
   */
  commit(changes: Buffer | ChangeParts, position: Position, owner?: Buffer): Promise<Outcome> {
    const parts = Buffer.isBuffer(changes) ? onePart(changes) : changes
    return this.#file.enqueue(async () => {
      let part = parts.next()
      let count = checkBatch(part, changeHeadBytes)
      const { file, offset } = this.#store.stateForWrite().position
      const isForward = position.file > file || (position.file === file && position.offset >= offset)
      assert(
        isForward,
        `the index is at ${file}:${offset} and cannot go to ${position.file}:${position.offset}`,
      )
      assert((owner?.length ?? 0) <= ownerBytesMax, `an owner keeps ${owner?.length} bytes in the index`)
      const outcome = freshOutcome()
      const apply: Apply = (head, key, state) => {
        const epoch = this.#store.epochForWrite(namespaceOf(key))
        if (!isClear(part, head)) this.#applier.change(part, head, key, epoch, state, outcome)
        else if (epoch !== undefined && compareU64(part, head + 16, epoch, 0) <= 0) outcome.outdated++
        else {
          this.#store.setEpoch(namespaceOf(key), part.subarray(head + 16, head + 24))
          outcome.applied++
        }
      }
      const finish = (state: IndexState) => {
        state.position = { ...position }
        if (owner !== undefined) state.owner = Buffer.from(owner)
      }
      const entries = parts.count ?? count
      const pieceEntries = this.#store.pieceOf(entries)
      for (let left = entries; ; ) {
        left -= count
        assert(
          left >= 0 && (left === 0 || count > 0),
          'a batch for the index has not as many entries as it says',
        )
        const options = { pieceEntries, finish: left === 0 ? finish : undefined }
        await this.#store.inPieces(part, changeHeadBytes, count, apply, options)
        if (left === 0) return outcome
        part = parts.next()
        count = checkBatch(part, changeHeadBytes)
      }
    })
  }

  /** Applies packed moves: rows that lie at just the old place get the new one or go, others stay. Synced like a commit. */
  relocate(moves: Buffer): Promise<Outcome> {
    return this.#file.enqueue(async () => {
      const count = checkBatch(moves, moveHeadBytes)
      const outcome = freshOutcome()
      await this.#store.inPieces(moves, moveHeadBytes, count, (head, key, state) => {
        this.#applier.move(moves, head, key, state, outcome)
      })
      return outcome
    })
  }

  /**
   * The row of a key, a tombstone included: whoever searches stops there. Of a key over 1,900 bytes the caller compares
   * the full key beside the record. What was cleared is `undefined`. Sees every commit that has resolved, in any thread.
   */
  find(key: Buffer): Row | undefined {
    return this.findMany([key])[0]
  }

  /** Like `find`, in one look for all: cheaper for each. */
  findMany(keys: readonly Buffer[]): (Row | undefined)[] {
    return this.#file.read(() => {
      const epochs = new Map<number, Buffer | undefined>()
      return keys.map((key) => {
        const stored = checkedStoredKey(key)
        const row = this.#file.rows.getBinaryFast(stored)
        if (row === undefined) return undefined
        if (!isRowSound(stored, row)) throw corruptRow(this.path, stored)
        const found = readRow(row)
        const namespace = namespaceOf(key)
        if (!epochs.has(namespace)) epochs.set(namespace, this.#store.epochOf(namespace))
        const epoch = epochs.get(namespace)
        return epoch !== undefined && found.clock <= epoch.readBigUInt64LE() ? undefined : found
      })
    })
  }

  /** Rows in key order, tombstones included; those over 1,900 bytes by what they lie under. A page may be short before the end. */
  scan(prefix: Buffer, from: Buffer | undefined, limit: number): ScanRows {
    return this.#file.read(() => {
      checkLimit(limit)
      const start = laterKey(prefix, from)
      const count = Math.min(limit, scanRowsMax)
      const rows: ScanRow[] = []
      let last: Buffer | undefined
      let seen = 0
      for (const { key: bytes, value } of this.#file.rows.getRange(rangeOf(prefix, start, count + 1))) {
        if (seen++ === count) return { rows, next: keyAfter(last as Buffer) }
        const key = Buffer.from(bytes as Uint8Array)
        last = key
        if (!isRowSound(key, value)) throw corruptRow(this.path, key)
        const epoch = this.#store.epochOf(namespaceOf(key))
        if (epoch !== undefined && compareU64(value, rowAt.clock, epoch, 0) <= 0) continue
        rows.push({ key, isHashed: isHashedKey(key), row: readRow(value) })
      }
      return { rows, next: undefined }
    })
  }

  /** Looks at every row: a damaged key is in order all the same, and would only not be found. */
  #checkRows(): void {
    for (let from: Buffer | undefined; ; ) {
      const page = this.scan(Buffer.alloc(0), from, scanRowsMax)
      if (page.next === undefined) return
      from = page.next
    }
  }

  /** Where the log must be read from after a crash: every change before it is in the index. */
  position(): Position {
    return { ...this.#store.state().position }
  }

  /** The epoch of each namespace that was ever cleared. */
  epochs(): { namespace: number; epoch: bigint }[] {
    return this.#file.read(() => this.#store.epochs())
  }

  /** What the owner gave to the last commit that had something. */
  owner(): Buffer {
    return Buffer.from(this.#store.state().owner)
  }

  /** Rows of values, and the bytes of their records in the log; rows of cleared namespaces until they are swept. */
  count(): { entries: number; bytes: number; tombstones: number } {
    const { rows, bytes, tombstones } = this.#store.state()
    return { entries: rows, bytes, tombstones }
  }

  /** What it takes of its file, which never shrinks. */
  usedBytes(): number {
    return this.#file.usedBytes()
  }

  /**
   * Tombstones, oldest first, at most `limit`, by the keys their rows lie under: what the tier below must drop. Some may
   * have been overtaken by a newer write.
   */
  tombstones(limit: number): Tombstone[] {
    return this.#file.read(() =>
      [...this.#file.tombstones.getKeys({ limit })].map((entry) => {
        const { stored, clock } = readTombstoneKey(Buffer.from(entry as Uint8Array))
        return { key: stored, clock }
      }),
    )
  }

  /**
   * Removes just these tombstones, once the deletes below are synced: others of the same age may have come meanwhile.
   * Synced when it resolves.
   */
  removeTombstones(tombstones: readonly Tombstone[]): Promise<Outcome> {
    return this.#file.enqueue(async () => {
      const outcome = freshOutcome()
      for (let from = 0; from < tombstones.length; from += this.#store.pieceEntries) {
        this.#store.transact(this.#store.pieceEntries, (state) => {
          for (const { key, clock } of tombstones.slice(from, from + this.#store.pieceEntries)) {
            const isMeant = (row: Buffer) => {
              return readRow(row).isTombstone && row.readBigUInt64LE(rowAt.clock) === clock
            }
            this.#applier.remove(key, isMeant, state, outcome)
            this.#file.tombstones.remove(tombstoneKey(clock, key))
          }
        })
        await turn()
      }
      return outcome
    })
  }

  /**
   * Removes rows that a clear has made dead, looking at one piece after `from` in `namespace`. Resolves to where to go
   * on, `undefined` at the end.
   */
  sweep(namespace: number, from?: Buffer): Promise<{ outcome: Outcome; next: Buffer | undefined }> {
    return this.#file.enqueue(async () => {
      const outcome = freshOutcome()
      const prefix = namespaceKey(namespace)
      const epoch = this.#store.epochForWrite(namespace)
      if (epoch === undefined) return { outcome, next: undefined }
      const range = rangeOf(prefix, laterKey(prefix, from), this.#store.pieceEntries)
      const keys = this.#file.look(() =>
        [...this.#file.rows.getKeys(range)].map((key) => Buffer.from(key as Uint8Array)),
      )
      this.#store.transact(this.#store.pieceEntries, (state) => {
        const isDead = (row: Buffer) => compareU64(row, rowAt.clock, epoch, 0) <= 0
        for (const key of keys) this.#applier.remove(key, isDead, state, outcome)
      })
      return {
        outcome,
        next: keys.length < this.#store.pieceEntries ? undefined : keyAfter(keys.at(-1) as Buffer),
      }
    })
  }

  /** Copies the index of some commit from now on to a new file; it is not synced. Others may commit meanwhile. */
  copyTo(path: string): Promise<void> {
    return this.#file.copyTo(path)
  }

  /** After the writes that were begun. */
  close(): Promise<void> {
    return this.#file.close()
  }
}

function rangeOf(prefix: Buffer, start: Buffer, limit: number) {
  const end = keyAfterPrefix(prefix)
  return { start, limit, ...(end === undefined ? {} : { end }) }
}
