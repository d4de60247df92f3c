/**
 * LRU: the object that was not asked for the longest leaves first. Mattson et al., "Evaluation techniques for storage
 * hierarchies", IBM Systems Journal 9(2), 1970.
 */

import { IdQueue } from './id-queue.ts'
import type { Policy, PolicyInput } from './policy.ts'

export class Lru implements Policy {
  readonly name = 'LRU'
  used = 0
  readonly #capacity: number
  /** From the least to the most recently used. */
  readonly #queue: IdQueue
  /** Size of a resident object; 0 = not resident. */
  readonly #size: Uint32Array

  constructor(input: PolicyInput) {
    this.#capacity = input.capacity
    this.#queue = new IdQueue(input.keyCount)
    this.#size = new Uint32Array(input.keyCount)
  }

  request(id: number, size: number): boolean {
    if (this.#size[id] !== 0) {
      this.#queue.remove(id)
      this.#queue.append(id)
      return true
    }
    if (size > this.#capacity) return false
    while (this.used + size > this.#capacity) this.#evict()
    this.#queue.append(id)
    this.#size[id] = size
    this.used += size
    return false
  }

  #evict(): void {
    const victim = this.#queue.oldest
    this.#queue.remove(victim)
    this.used -= this.#size[victim] as number
    this.#size[victim] = 0
  }
}
