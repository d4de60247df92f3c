/**
 * The writing half of the log's index: transactions that carry the state, batches in pieces, the epochs of namespaces.
 *
 * **Commits come in pieces.** A batch is written in transactions of a few thousand entries, each synced before the next
 * begins, the position with the last one. Between two pieces other work of the thread runs, and pages that hold only
 * dead rows are used again, so a file stays half the size it has with one transaction. It is safe because a piece
 * that is there without its position will be applied again, and applying again changes nothing (`index-apply.ts`);
 * and because a batch is key-sorted, pieces hardly touch the same pages twice.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { namespaceKey } from './index-apply.ts'
import { freshState, type IndexState, packState, readState } from './index-state.ts'
import { namespaceBytes } from './keys.ts'
import type { LmdbFile } from './lmdb-file.ts'

/** Entries of one transaction at most: some 40 ms of work, and as many pages: 32 MiB, which LMDB holds in memory for good. */
export const pieceEntriesMax = 8192
/** Fewer than this make the synchronisations the larger part of a commit. */
const pieceEntriesMin = 256
/** And this many are brought to a disk that is all but full. */
const pieceEntriesShort = 16
/** What LMDB may hold of the pages that one transaction writes, of the memory of the store. */
const pieceShare = 1 / 32
const pageBytes = 4096
/** Times as many, when a batch has several entries for each leaf: a batch that is dense here and thin there has more pages. */
const densityMax = 4
/** The most that one entry of a piece makes LMDB write: its leaf and a share of the branches. */
const bytesPerEntryMax = 8192
/** Leaves of the state and of the list of free pages. */
const entriesBeside = 64

const stateKey = Buffer.from('state')

/** Applies one entry of a batch, whose head begins at `head`. */
export type Apply = (head: number, key: Buffer, state: IndexState) => void

interface PieceOptions {
  /** Entries of one transaction. */
  readonly pieceEntries?: number
  /** Runs in the last one. */
  readonly finish?: ((state: IndexState) => void) | undefined
}

/** The most that a transaction with so many entries writes. */
function bytesMax(entries: number): number {
  return (entries + entriesBeside) * bytesPerEntryMax
}

/** Entries of one transaction for a store with so much memory. */
export function pieceEntriesFor(memoryBytes: number): number {
  const most = Math.floor((memoryBytes * pieceShare) / pageBytes)
  return Math.min(pieceEntriesMax, Math.max(pieceEntriesMin, most))
}

export class IndexStore {
  readonly file: LmdbFile
  /** Entries of one transaction. */
  readonly pieceEntries: number
  #state: IndexState
  /** The writer's: it alone changes them, and asks for one with every change. */
  readonly #epochs = new Map<number, Buffer | undefined>()

  constructor(file: LmdbFile, isReader: boolean, pieceEntries: number) {
    this.file = file
    this.pieceEntries = pieceEntries
    this.#state = this.#load(isReader)
  }

  /** Of the newest commit, in whatever thread it was made. */
  state(): IndexState {
    const packed = this.file.read(() => this.file.meta.getBinary(stateKey))
    return packed === undefined ? freshState() : readState(packed, this.file.path)
  }

  /** The writer's own, which no other thread changes. */
  stateForWrite(): Readonly<IndexState> {
    return this.#state
  }

  /** Entries of one transaction of a batch with so many, sorted: they share leaves. */
  pieceOf(entries: number): number {
    // There are fewer leaves than pages. What LMDB says of them would leave its read transaction where it is.
    const density = Math.min(densityMax, entries / Math.max(1, this.file.fileBytes() / pageBytes))
    const most = Math.min(pieceEntriesMax, Math.floor(this.pieceEntries * density))
    // On a disk that is nearly full small pieces still go where large ones may not.
    return most > this.pieceEntries && this.file.hasRoom(bytesMax(most)) ? most : this.pieceEntries
  }

  async inPieces(
    batch: Buffer,
    headBytes: number,
    count: number,
    apply: Apply,
    { pieceEntries = this.pieceEntries, finish }: PieceOptions = {},
  ): Promise<void> {
    let at = 0
    let left = count
    do {
      const size = this.#sizeOf(left, pieceEntries)
      left -= size
      this.transact(size, (state) => {
        for (let index = 0; index < size; index++) {
          const keyAt = at + headBytes
          const next = keyAt + batch.readUInt16LE(at)
          apply(at, batch.subarray(keyAt, next), state)
          at = next
        }
        if (left === 0) finish?.(state)
      })
      if (left > 0) await turn()
    } while (left > 0)
  }

  /** Entries of the next piece: fewer where the disk has no room for more. */
  #sizeOf(left: number, pieceEntries: number): number {
    const pieces = Math.ceil(left / pieceEntries)
    let size = pieces === 0 ? 0 : Math.ceil(left / pieces)
    while (size > pieceEntriesShort && !this.file.hasRoom(bytesMax(size))) size >>= 1
    return size
  }

  /** One transaction, synced; the state is what it was when it fails. */
  transact(entries: number, work: (state: IndexState) => void): void {
    const state = { ...this.#state }
    this.file.transact(bytesMax(entries), () => {
      work(state)
      this.file.meta.put(stateKey, packState(state))
    })
    this.#state = state
  }

  /** Eight bytes, little-endian; a copy. */
  epochOf(namespace: number): Buffer | undefined {
    return this.file.meta.getBinary(namespaceKey(namespace))
  }

  /** All of them: entries of the state's database under two bytes. */
  epochs(): { namespace: number; epoch: bigint }[] {
    return [...this.file.meta.getRange({})]
      .map(({ key, value }) => ({ key: Buffer.from(key as Uint8Array), value: value as Buffer }))
      .filter(({ key }) => key.length === namespaceBytes)
      .map(({ key, value }) => ({ namespace: key.readUInt16BE(), epoch: value.readBigUInt64LE() }))
  }

  /** The same inside a transaction. */
  epochForWrite(namespace: number): Buffer | undefined {
    if (!this.#epochs.has(namespace)) this.#epochs.set(namespace, this.epochOf(namespace))
    return this.#epochs.get(namespace)
  }

  setEpoch(namespace: number, epoch: Buffer): void {
    const copy = Buffer.from(epoch)
    // Under its two bytes, where the state has five.
    this.file.meta.put(namespaceKey(namespace), copy)
    this.#epochs.set(namespace, copy)
  }

  #load(isReader: boolean): IndexState {
    const { file } = this
    const packed = file.read(() => file.meta.getBinary(stateKey))
    if (packed !== undefined) return readState(packed, file.path)
    const state = freshState()
    // Its writer has not come that far yet.
    if (isReader) return state
    const isEmpty = file.read(() => [...file.rows.getKeys({ limit: 1 })].length === 0)
    if (!isEmpty) return readState(Buffer.alloc(0), file.path)
    file.transact(bytesMax(0), () => void file.meta.put(stateKey, packState(state)))
    return state
  }
}
