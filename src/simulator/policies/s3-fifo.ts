/**
 * Exact S3-FIFO, object by object: the yardstick for the segment version in the store. Yang et al., "FIFO queues are
 * all you need for cache eviction", SOSP '23; details that the paper leaves open as in libCacheSim of 2024.
 *
 * - A newcomer enters *small* (a tenth), also while the cache is still filling up.
 * - An object that leaves small goes to main when it was hit at least twice there, with its counter cleared; otherwise
 *   it leaves the cache and *ghost* remembers its id. Ghost is a FIFO of ids, as large as the objects of nine tenths.
 * - A miss on an id in ghost enters main.
 * - Main is a FIFO with reinsertion: an object with a count goes round again with one less (counted up to 3). What it
 *   evicts is not remembered.
 * - Main is evicted from when it is over its share or small is empty; small otherwise. Small has no limit of its own,
 *   so it holds what main does not use.
 * - An object larger than a tenth of the cache is not admitted.
 *
 * libCacheSim also refuses an object exactly as large as small, so there a cache of 10 to 19 objects of size 1 admits
 * nothing, ever. Here such an object is admitted, and small holds at least one object of size 1.
 *
 * Later versions of libCacheSim send newcomers to main once small is full, until the first eviction. That pins the
 * first keys of a trace: better on a cycle, much worse where the working set moves on. It is not in the paper, nor here.
 */

import { IdQueue } from './id-queue.ts'
import type { Policy, PolicyInput } from './policy.ts'

const SMALL_SHARE = 0.1
const GHOST_SHARE = 0.9
const PROMOTE_HITS_MIN = 2
const COUNTER_MAX = 3

const ABSENT = 0
const IN_SMALL = 1
const IN_MAIN = 2
const IN_GHOST = 3

export class S3Fifo implements Policy {
  readonly name = 'S3-FIFO'
  readonly #capacity: number
  readonly #smallCapacity: number
  readonly #mainCapacity: number
  readonly #ghostCapacity: number
  readonly #small: IdQueue
  readonly #main: IdQueue
  readonly #ghost: IdQueue
  #smallUsed = 0
  #mainUsed = 0
  #ghostUsed = 0
  readonly #place: Uint8Array
  readonly #hits: Uint8Array
  readonly #size: Uint32Array

  constructor(input: PolicyInput) {
    this.#capacity = input.capacity
    this.#smallCapacity = Math.max(1, Math.floor(input.capacity * SMALL_SHARE))
    this.#mainCapacity = input.capacity - this.#smallCapacity
    this.#ghostCapacity = Math.floor(input.capacity * GHOST_SHARE)
    this.#small = new IdQueue(input.keyCount)
    this.#main = new IdQueue(input.keyCount)
    this.#ghost = new IdQueue(input.keyCount)
    this.#place = new Uint8Array(input.keyCount)
    this.#hits = new Uint8Array(input.keyCount)
    this.#size = new Uint32Array(input.keyCount)
  }

  get used(): number {
    return this.#smallUsed + this.#mainUsed
  }

  request(id: number, size: number): boolean {
    const place = this.#place[id]
    if (place === IN_SMALL || place === IN_MAIN) {
      const hits = this.#hits[id] as number
      if (hits < COUNTER_MAX) this.#hits[id] = hits + 1
      return true
    }
    const isRemembered = place === IN_GHOST
    if (isRemembered) this.#forget(id)
    if (size > this.#smallCapacity) return false
    this.#size[id] = size
    this.#hits[id] = 0
    while (this.used + size > this.#capacity) this.#evict()
    if (isRemembered) this.#enterMain(id)
    else this.#enterSmall(id)
    return false
  }

  #enterSmall(id: number): void {
    this.#small.append(id)
    this.#place[id] = IN_SMALL
    this.#smallUsed += this.#size[id] as number
  }

  #enterMain(id: number): void {
    this.#main.append(id)
    this.#place[id] = IN_MAIN
    this.#mainUsed += this.#size[id] as number
  }

  #evict(): void {
    if (this.#mainUsed > this.#mainCapacity || this.#small.isEmpty) this.#evictMain()
    else this.#evictSmall()
  }

  /** Evicts one object, or only promotes when everything in small deserves it. */
  #evictSmall(): void {
    while (!this.#small.isEmpty) {
      const id = this.#small.oldest
      this.#small.remove(id)
      this.#smallUsed -= this.#size[id] as number
      if ((this.#hits[id] as number) < PROMOTE_HITS_MIN) {
        this.#remember(id)
        return
      }
      this.#hits[id] = 0
      this.#enterMain(id)
    }
  }

  #evictMain(): void {
    for (;;) {
      const id = this.#main.oldest
      const hits = this.#hits[id] as number
      this.#main.remove(id)
      if (hits === 0) {
        this.#mainUsed -= this.#size[id] as number
        this.#place[id] = ABSENT
        return
      }
      this.#hits[id] = hits - 1
      this.#main.append(id)
    }
  }

  #remember(id: number): void {
    const size = this.#size[id] as number
    this.#place[id] = ABSENT
    if (size > this.#ghostCapacity) return
    while (this.#ghostUsed + size > this.#ghostCapacity) this.#forget(this.#ghost.oldest)
    this.#ghost.append(id)
    this.#place[id] = IN_GHOST
    this.#ghostUsed += size
  }

  #forget(id: number): void {
    this.#ghost.remove(id)
    this.#place[id] = ABSENT
    this.#ghostUsed -= this.#size[id] as number
  }
}
