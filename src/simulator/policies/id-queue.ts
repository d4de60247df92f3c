/**
 * A doubly linked queue of dense ids in two typed arrays: append at the newest end, leave from the oldest end or from
 * anywhere, all in constant time. An id is in the queue at most once; the caller knows whether it is.
 *
 * Slot `keyCount` is the sentinel that closes the ring: its `newer` is the oldest id, its `older` the newest.
 */

export class IdQueue {
  /** What `oldest`, `newest` and `newerThan` return when there is no such id. */
  readonly none: number
  readonly #newer: Uint32Array
  readonly #older: Uint32Array

  constructor(keyCount: number) {
    this.none = keyCount
    this.#newer = new Uint32Array(keyCount + 1)
    this.#older = new Uint32Array(keyCount + 1)
    this.#newer[keyCount] = keyCount
    this.#older[keyCount] = keyCount
  }

  get oldest(): number {
    return this.#newer[this.none] as number
  }

  get isEmpty(): boolean {
    return this.oldest === this.none
  }

  /** The neighbour of `id` on the side of the newest end. */
  newerThan(id: number): number {
    return this.#newer[id] as number
  }

  append(id: number): void {
    const newest = this.#older[this.none] as number
    this.#newer[newest] = id
    this.#older[id] = newest
    this.#newer[id] = this.none
    this.#older[this.none] = id
  }

  remove(id: number): void {
    const newer = this.#newer[id] as number
    const older = this.#older[id] as number
    this.#newer[older] = newer
    this.#older[newer] = older
  }
}
