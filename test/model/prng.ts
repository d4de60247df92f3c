/**
 * A seeded generator of 32-bit numbers (splitmix32). The same seed gives the same schedule on every machine; nothing
 * in the model takes randomness or time from anywhere else.
 */
export class Prng {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  next(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0
    let z = this.#state
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
    return (z ^ (z >>> 15)) >>> 0
  }

  /** An integer in 0 .. limit-1. */
  below(limit: number): number {
    return this.next() % limit
  }

  chance(probability: number): boolean {
    return this.next() < probability * 0x1_0000_0000
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)]
    if (item === undefined) throw new RangeError('pick from an empty list')
    return item
  }

  /** An index into `weights`, chosen in proportion to them. */
  weighted(weights: readonly number[]): number {
    const total = weights.reduce((sum, weight) => sum + weight, 0)
    let left = (this.next() / 0x1_0000_0000) * total
    for (let index = 0; index < weights.length - 1; index++) {
      left -= weights[index] ?? 0
      if (left < 0) return index
    }
    return weights.length - 1
  }
}
