/**
 * Every change of the log against the index: a value that was written, and neither replaced nor deleted, has a row. Keys
 * without one are remembered until the log shows that they were deleted.
 */
import { systemClock } from '../base/clock.ts'
import { changeHeadBytes } from '../tiers/index-batch.ts'
import { kindClear, kindDelete } from '../tiers/index-row.ts'
import type { LogIndex, Position } from '../tiers/log-index.ts'
import { readU64 } from '../tiers/u64.ts'
import type { Problems } from './problems.ts'

/** Deleted keys that the log still has are remembered up to here: some 100 MB. Beyond, no missing row is reported. */
const keysMax = 500_000
/** See `native/core/src/log/checkpoint.rs`. */
const flagVolatile = 8
/** Keys looked up at a time. */
const looksMax = 1000

interface Newest {
  readonly clock: bigint
  readonly expiresAt: number
  readonly isDelete: boolean
  readonly place: Position
}

export class ChangesCheck {
  readonly #index: LogIndex | undefined
  /** The index has every change before this. */
  #position: Position
  readonly #rowless = new Map<string, Newest>()
  /** Of each namespace: the newest clear that the index must know, and all there are. */
  readonly #known = new Map<number, bigint>()
  readonly #clears = new Map<number, Set<bigint>>()
  isPartial: boolean

  constructor(index: LogIndex | undefined, position: Position, isPartial: boolean) {
    this.isPartial = isPartial
    this.#index = index
    this.#position = position
  }

  /** The index has grown since. */
  extend(position: Position): void {
    this.#position = position
  }

  /** Packed entries, in the order of the log. */
  see(entries: Buffer): void {
    let heads: number[] = []
    let keys: Buffer[] = []
    for (let at = 0; at < entries.length; ) {
      const keyAt = at + changeHeadBytes
      const next = keyAt + entries.readUInt16LE(at)
      const place = { file: entries.readUInt32LE(at + 4), offset: entries.readUInt32LE(at + 8) }
      const isIndexed = isBefore(place, this.#position)
      // Also a later one: a drain has copied it there, and where it stood is gone. After a start it counts in any case.
      const isDelete = entries[at + 2] === kindDelete
      if (entries[at + 2] === kindClear) this.#seeClear(entries, at, isIndexed)
      else if (isIndexed || isDelete) {
        heads.push(at)
        keys.push(entries.subarray(keyAt, next))
      }
      if (keys.length === looksMax) {
        this.#look(entries, heads, keys)
        heads = []
        keys = []
      }
      at = next
    }
    this.#look(entries, heads, keys)
  }

  #seeClear(entries: Buffer, at: number, isIndexed: boolean): void {
    const namespace = entries.readUInt16BE(at + changeHeadBytes)
    const epoch = entries.readBigUInt64LE(at + 16)
    const clears = this.#clears.get(namespace) ?? new Set()
    this.#clears.set(namespace, clears.add(epoch))
    if (isIndexed && epoch > (this.#known.get(namespace) ?? 0n)) this.#known.set(namespace, epoch)
  }

  #look(entries: Buffer, heads: readonly number[], keys: readonly Buffer[]): void {
    if (this.#index === undefined || keys.length === 0) return
    const rows = this.#index.findMany(keys)
    for (const [number, at] of heads.entries()) {
      const name = (keys[number] as Buffer).toString('latin1')
      const clock = entries.readBigUInt64LE(at + 16)
      const row = rows[number]
      if (row !== undefined && row.clock >= clock) this.#rowless.delete(name)
      else this.#remember(name, entries, at, clock)
    }
  }

  #remember(name: string, entries: Buffer, at: number, clock: bigint): void {
    if (this.isPartial) return
    const known = this.#rowless.get(name)
    // At the same version the later one counts: a copy, a touch, or the death of what has expired.
    if (known !== undefined && known.clock > clock) return
    if (known === undefined && this.#rowless.size >= keysMax) {
      this.isPartial = true
      return
    }
    this.#rowless.set(name, {
      clock,
      expiresAt: readU64(entries, at + 24),
      // A volatile record may go with its arena.
      isDelete: entries[at + 2] === kindDelete || ((entries[at + 3] as number) & flagVolatile) !== 0,
      place: { file: entries.readUInt32LE(at + 4), offset: entries.readUInt32LE(at + 8) },
    })
  }

  #missing(): [string, Newest][] {
    const index = this.#index
    if (index === undefined || this.isPartial) return []
    const epochs = new Map(index.epochs().map(({ namespace, epoch }) => [namespace, epoch]))
    const now = systemClock.nowMs()
    return [...this.#rowless].filter(([name, newest]) => {
      const key = Buffer.from(name, 'latin1')
      if (newest.isDelete || newest.clock <= (epochs.get(key.readUInt16BE()) ?? 0n)) return false
      // Its row goes before its file, when it is drained.
      if (newest.expiresAt !== 0 && newest.expiresAt <= now) return false
      const row = index.find(key)
      return row === undefined || row.clock < newest.clock
    })
  }

  mayBeMissing(): boolean {
    return this.#missing().length > 0
  }

  report(problems: Problems): void {
    for (const [name, { place }] of this.#missing()) {
      const key = Buffer.from(name, 'latin1')
      const shown = JSON.stringify(key.toString('utf8', 2, 62))
      problems.add(
        'index',
        `the index does not have the key ${shown} of namespace ${key.readUInt16BE()}, which log file ${place.file.toString(16)} has at offset ${place.offset}`,
      )
    }
  }

  /** The index keeps the epoch of a namespace without a check of its own. */
  checkEpochs(index: LogIndex, problems: Problems): void {
    const epochs = new Map(index.epochs().map(({ namespace, epoch }) => [namespace, epoch]))
    for (const namespace of new Set([...epochs.keys(), ...this.#known.keys()])) {
      const epoch = epochs.get(namespace) ?? 0n
      const known = this.#known.get(namespace) ?? 0n
      const isInLog = this.#clears.get(namespace)?.has(epoch) === true
      if (epoch === known || (epoch > known && isInLog)) continue
      problems.add(
        'index',
        `the index says that namespace ${namespace} was last cleared at ${epoch}, the log says ${known}`,
      )
    }
  }
}

function isBefore(place: Position, position: Position): boolean {
  return place.file < position.file || (place.file === position.file && place.offset < position.offset)
}
