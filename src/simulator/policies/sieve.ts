/**
 * SIEVE: a FIFO queue whose hand walks from the oldest to the newest object, spares what was visited since it last
 * came by, and evicts in place. Survivors keep their position; newcomers go to the newest end. Zhang et al., "SIEVE is
 * Simpler than LRU: an Efficient Turn-Key Eviction Algorithm for Web Caches", NSDI '24.
 */

import { IdQueue } from './id-queue.ts'
import type { Policy, PolicyInput } from './policy.ts'

export class Sieve implements Policy {
  readonly name = 'SIEVE'
  used = 0
  readonly #capacity: number
  readonly #queue: IdQueue
  /** Size of a resident object; 0 = not resident. */
  readonly #size: Uint32Array
  readonly #visited: Uint8Array
  /** Where the next eviction starts to look; `none` = at the oldest. */
  #hand: number

  constructor(input: PolicyInput) {
    this.#capacity = input.capacity
    this.#queue = new IdQueue(input.keyCount)
    this.#size = new Uint32Array(input.keyCount)
    this.#visited = new Uint8Array(input.keyCount)
    this.#hand = this.#queue.none
  }

  request(id: number, size: number): boolean {
    if (this.#size[id] !== 0) {
      this.#visited[id] = 1
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
    const queue = this.#queue
    let victim = this.#hand === queue.none ? queue.oldest : this.#hand
    while (this.#visited[victim] === 1) {
      this.#visited[victim] = 0
      victim = queue.newerThan(victim)
      if (victim === queue.none) victim = queue.oldest
    }
    this.#hand = queue.newerThan(victim)
    queue.remove(victim)
    this.used -= this.#size[victim] as number
    this.#size[victim] = 0
  }
}
