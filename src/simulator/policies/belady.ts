/**
 * Belady's MIN: evict the object whose next use is farthest away. Needs the future, so it is a bound and not a policy.
 * Belady, "A study of replacement algorithms for a virtual-storage computer", IBM Systems Journal 5(2), 1966.
 *
 * For objects of one size it is optimal among policies that admit every miss. For differing sizes it ignores the size
 * (as libCacheSim's `Belady` does) and is a good yardstick only, not a bound.
 *
 * Resident ids are in a binary heap, farthest next use on top. A hit moves the next use of its id farther, so the id
 * only ever rises.
 */

import type { Policy, PolicyInput } from './policy.ts'

export class Belady implements Policy {
  readonly name = 'Belady'
  used = 0
  readonly #capacity: number
  readonly #nextUse: Uint32Array
  /** Index of the request being answered: `request` must be called in the order of the trace, from its start. */
  #now = 0
  #heapLength = 0
  readonly #heap: Uint32Array
  /** Position in the heap, per id. */
  readonly #position: Uint32Array
  /** Next use, per resident id: the priority in the heap. */
  readonly #priority: Uint32Array
  /** Size of a resident object; 0 = not resident. */
  readonly #size: Uint32Array

  constructor(input: PolicyInput) {
    this.#capacity = input.capacity
    this.#nextUse = input.nextUse()
    this.#heap = new Uint32Array(input.keyCount)
    this.#position = new Uint32Array(input.keyCount)
    this.#priority = new Uint32Array(input.keyCount)
    this.#size = new Uint32Array(input.keyCount)
  }

  request(id: number, size: number): boolean {
    const nextUse = this.#nextUse[this.#now] as number
    this.#now += 1
    if (this.#size[id] !== 0) {
      this.#priority[id] = nextUse
      this.#rise(this.#position[id] as number, id)
      return true
    }
    if (size > this.#capacity) return false
    while (this.used + size > this.#capacity) this.#evict()
    this.#size[id] = size
    this.used += size
    this.#priority[id] = nextUse
    this.#heapLength += 1
    this.#rise(this.#heapLength - 1, id)
    return false
  }

  #evict(): void {
    const victim = this.#heap[0] as number
    this.#heapLength -= 1
    if (this.#heapLength > 0) this.#sink(this.#heap[this.#heapLength] as number)
    this.used -= this.#size[victim] as number
    this.#size[victim] = 0
  }

  /** Puts `id` at `position` or above it. */
  #rise(position: number, id: number): void {
    const heap = this.#heap
    const priority = this.#priority[id] as number
    let at = position
    while (at > 0) {
      const above = (at - 1) >>> 1
      const parent = heap[above] as number
      if ((this.#priority[parent] as number) >= priority) break
      heap[at] = parent
      this.#position[parent] = at
      at = above
    }
    heap[at] = id
    this.#position[id] = at
  }

  /** Puts `id` at the top or below it. */
  #sink(id: number): void {
    const heap = this.#heap
    const priority = this.#priority[id] as number
    let at = 0
    for (let below = 1; below < this.#heapLength; below = 2 * at + 1) {
      if (below + 1 < this.#heapLength && this.#isFarther(heap[below + 1] as number, heap[below] as number))
        below += 1
      const child = heap[below] as number
      if ((this.#priority[child] as number) <= priority) break
      heap[at] = child
      this.#position[child] = at
      at = below
    }
    heap[at] = id
    this.#position[id] = at
  }

  #isFarther(a: number, b: number): boolean {
    return (this.#priority[a] as number) > (this.#priority[b] as number)
  }
}
