/**
 * How much of each file of the log is needed: bytes of the records that rows of the index lead to, and of the deletes
 * that a drain had to keep. A guess to choose files by; what a drain moves, the index says record by record.
 */

import { binding, type NativeHandle } from '../native/binding.ts'
import type { Outcome } from '../tiers/index-apply.ts'
import type { LogIndex, ScanRow } from '../tiers/log-index.ts'
import { eachPage } from './index-filter.ts'

/** Flag of a row; see `native/core/src/log/checkpoint.rs`. */
const flagVolatile = 8

export class LiveBytes {
  readonly #records = new Map<number, number>()
  /** Deletes that were copied. Counted anew after a start, when their files look empty once. */
  readonly #deletes = new Map<number, number>()

  /**
   * Counts what the index has; the part of it that was counted when the thread ends. Volatile records before `firstFile`
   * are of arenas that are gone. `see` is shown every row.
   */
  async count(
    index: LogIndex,
    firstFile: number,
    isStopping: () => boolean,
    see: (row: ScanRow) => void,
  ): Promise<void> {
    await eachPage(index, isStopping, (rows) => {
      for (const scanned of rows) {
        const { row } = scanned
        see(scanned)
        const isPast = (row.flags & flagVolatile) !== 0 && row.file < firstFile
        if (!isPast) this.add(row.file, row.bytes)
      }
    })
  }

  add(file: number, bytes: number): void {
    this.#records.set(file, (this.#records.get(file) ?? 0) + bytes)
  }

  addDelete(file: number, bytes: number): void {
    this.#deletes.set(file, (this.#deletes.get(file) ?? 0) + bytes)
  }

  apply({ gained, freed }: Outcome): void {
    for (const [file, bytes] of gained) this.add(file, bytes)
    for (const [file, bytes] of freed) this.add(file, -bytes)
  }

  forget(file: number): void {
    this.#records.delete(file)
    this.#deletes.delete(file)
  }

  /** In the oldest file no delete is needed any more. */
  of(file: number, isOldest: boolean): number {
    return Math.max(0, this.#records.get(file) ?? 0) + (isOldest ? 0 : this.deletesOf(file))
  }

  deletesOf(file: number): number {
    return this.#deletes.get(file) ?? 0
  }
}

/** What the SSD tier has, for `stats`. */
export function reportIndex(handle: NativeHandle, index: LogIndex): void {
  const { entries, bytes } = index.count()
  binding().reportTier(handle, 1, entries, bytes, 0)
}
