/**
 * What survives the process: value log, LMDB-like index and LevelDB-like HDD tier, the persisted clock ceiling. Each
 * knows what is synced; a power cut keeps all of that and, of the rest, a prefix of the caller's choosing.
 */
import type { Prng } from '../../src/base/prng.ts'
import type { Key, Value } from './subject.ts'

/** Batches in a log file before the next one is begun: one or two, in turn. */
const batchesMaxOf = (file: number): number => 1 + (file % 2)

export interface Position {
  readonly file: number
  readonly batch: number
}

export interface Location extends Position {
  readonly at: number
}

export interface Entry {
  readonly kind: 'put' | 'delete' | 'epoch'
  readonly key: Key
  readonly version: number
  readonly born: number
  readonly value: Value
  readonly expiresAtMs: number
  readonly tags: readonly string[]
  /** Set on spilled `none` values: they die with this arena. */
  readonly arena: number | undefined
  /** A copy made by a drain, valid only for the record it was copied from. */
  readonly isDrained: boolean
}

interface Batch {
  readonly entries: readonly Entry[]
  /** Its checksum does not match. */
  readonly isTorn: boolean
}

export class Log {
  readonly files = new Map<number, Batch[]>([[1, []]])
  head = 1
  /** Batches at the end of the log that are not synced. */
  #unsynced = 0

  append(entries: readonly Entry[]): Position {
    if (this.#batches(this.head).length >= batchesMaxOf(this.head)) this.roll()
    const batches = this.#batches(this.head)
    batches.push({ entries, isTorn: false })
    this.#unsynced++
    return { file: this.head, batch: batches.length - 1 }
  }

  sync(): void {
    this.#unsynced = 0
  }

  roll(): void {
    this.head++
    this.files.set(this.head, [])
  }

  end(): Position {
    return { file: this.head, batch: this.#batches(this.head).length }
  }

  read(location: Location): Entry | undefined {
    return this.files.get(location.file)?.[location.batch]?.entries[location.at]
  }

  /** Entries from `start` up to `end`, with where they are. */
  *range(start: Position, end: Position): Generator<{ entry: Entry; at: Location }> {
    for (const [file, batches] of this.files) {
      for (const [batch, { entries }] of batches.entries()) {
        if (isBefore({ file, batch }, start) || !isBefore({ file, batch }, end)) continue
        for (const [at, entry] of entries.entries()) yield { entry, at: { file, batch, at } }
      }
    }
  }

  /** The oldest file that the synced index no longer needs for a replay. */
  oldestBefore(position: Position): number | undefined {
    const [file] = this.files.keys()
    return file !== undefined && file < position.file && file < this.head ? file : undefined
  }

  powerCut(random: Prng): void {
    let lost: Batch | undefined
    for (let count = random.below(this.#unsynced + 1); count > 0; count--) lost = this.#last().pop()
    if (lost !== undefined && lost.entries.length > 1 && random.chance(0.5)) {
      this.#last().push({
        entries: lost.entries.slice(0, 1 + random.below(lost.entries.length - 1)),
        isTorn: true,
      })
    }
    this.sync()
  }

  /** Cuts the log at the batch whose checksum does not match. */
  truncateTorn(): void {
    if (this.#last().at(-1)?.isTorn === true) this.#last().pop()
  }

  /** The newest file that has a batch. */
  #last(): Batch[] {
    const files = [...this.files.values()]
    return files.findLast((batches) => batches.length > 0) ?? this.#batches(this.head)
  }

  #batches(file: number): Batch[] {
    const batches = this.files.get(file)
    if (batches === undefined) throw new RangeError(`no log file ${file}`)
    return batches
  }
}

export const isBefore = (a: Position, b: Position): boolean =>
  a.file !== b.file ? a.file < b.file : a.batch < b.batch

/** A store with transactions: `state` is the last committed one, `#unsynced` all since the last sync. */
export class Table<State> {
  state: State
  #unsynced: State[]

  constructor(initial: State) {
    this.state = initial
    this.#unsynced = [initial]
  }

  commit(change: (state: State) => State): void {
    this.state = change(this.state)
    this.#unsynced.push(this.state)
  }

  sync(): void {
    this.#unsynced = [this.state]
  }

  synced(): State {
    return this.#unsynced[0] ?? this.state
  }

  powerCut(random: Prng): void {
    this.state = random.pick(this.#unsynced)
    this.sync()
  }
}

export interface Row {
  readonly kind: 'put' | 'delete'
  readonly version: number
  readonly at: Location
}

export interface Index {
  readonly rows: ReadonlyMap<Key, Row>
  readonly epochs: ReadonlyMap<string, number>
  /** The log is replayed from here. */
  readonly position: Position
}

export class Disk {
  readonly log = new Log()
  readonly index = new Table<Index>({
    rows: new Map(),
    epochs: new Map(),
    position: { file: 1, batch: 0 },
  })
  readonly hdd = new Table<ReadonlyMap<Key, Entry>>(new Map())
  /** Not on this machine: nothing here loses it. */
  readonly remote = new Map<Key, Value>()
  ceilingMs = 0

  powerCut(random: Prng): void {
    this.log.powerCut(random)
    this.index.powerCut(random)
    this.hdd.powerCut(random)
  }
}
