/**
 * Pinned entries of the store's own. They are in RAM or nowhere, so every call is decided at once: what RAM does not
 * have is not there. An entry of an earlier run comes to RAM when the store opens; `load` makes sure of it.
 */
import { cold, type Entry, type Space } from '../native/engine.ts'

export class PinnedEntries {
  readonly #space: Space

  constructor(space: Space) {
    this.#space = space
  }

  peek(key: string): Entry | undefined {
    return this.#space.peek(key)
  }

  setPinned(key: string, bytes: Uint8Array, ifVersion: string | undefined, ttlMs?: number): boolean {
    return this.#space.setPinned(key, bytes, ifVersion, ttlMs)
  }

  delete(key: string, ifVersion?: string): boolean {
    return this.#orAbsent(() => this.#space.delete(key, ifVersion))
  }

  touch(key: string, ttlMs: number): boolean {
    return this.#orAbsent(() => this.#space.touch(key, ttlMs))
  }

  /** Until RAM knows of a key: another thread may have opened the store a moment ago. */
  async load(key: string): Promise<void> {
    while (this.#space.peek(key) === undefined && this.#space.isCold) await this.#space.resolve(key)
  }

  #orAbsent(change: () => boolean): boolean {
    try {
      return change()
    } catch (error) {
      if (error === cold) return false
      throw error
    }
  }
}
