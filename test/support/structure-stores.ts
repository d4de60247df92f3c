/** A store of shared structures in plain memory, with a hook that lets a test act as the other writer. */
import type { StructureStore } from '../../src/codec/structures.ts'

export class MemoryStructureStore implements StructureStore {
  saves = 0
  loads = 0
  /** Called at the start of each save: what it does happens between the caller's last load and its save. */
  beforeSave: (() => void) | undefined
  #table: Buffer | undefined

  get table(): Buffer | undefined {
    return this.#table
  }

  load(): Uint8Array | undefined {
    this.loads++
    return this.#table
  }

  save(next: Uint8Array, previous: Uint8Array | undefined): boolean {
    const act = this.beforeSave
    this.beforeSave = undefined
    act?.()
    this.saves++
    const isCurrent =
      previous === undefined || this.#table === undefined
        ? previous === this.#table
        : this.#table.equals(previous)
    if (isCurrent) this.#table = Buffer.from(next)
    return isCurrent
  }
}
