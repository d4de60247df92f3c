/**
 * Seeded pseudo-random numbers: the same seed gives the same run, so every failing test can be repeated.
 *
 * The generator is sfc32 (Chris Doty-Humphrey, PractRand): 128 bits of state in four u32s, period at least 2^32 for
 * any seed and about 2^127 on average. Not for secrets.
 */
import { randomBytes } from 'node:crypto'

const mixRounds = 16

export class Prng {
  readonly seed: number
  #a: number
  #b: number
  #c: number
  #counter = 1

  constructor(seed: number) {
    if (!Number.isSafeInteger(seed)) throw new RangeError(`a seed is a safe integer, not ${seed}`)
    this.seed = seed
    this.#a = seed >>> 0
    this.#b = Math.floor(seed / 0x1_0000_0000) >>> 0
    this.#c = 0x9e37_79b9
    // Neighbouring seeds start out alike; a few rounds pull them apart.
    for (let round = 0; round < mixRounds; round++) this.u32()
  }

  /** A whole number from 0 to 2^32 - 1. */
  u32(): number {
    const result = (this.#a + this.#b + this.#counter) >>> 0
    this.#counter = (this.#counter + 1) >>> 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) >>> 0
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) >>> 0
    this.#c = (this.#c + result) >>> 0
    return result
  }

  /** A number in [0, 1) with 53 random bits. */
  float(): number {
    return ((this.u32() >>> 5) * 0x400_0000 + (this.u32() >>> 6)) / 0x20_0000_0000_0000
  }

  /** A whole number in [0, limit). The bias of the multiplication is below limit / 2^53. */
  below(limit: number): number {
    if (!(limit >= 1 && Number.isSafeInteger(limit))) throw new RangeError(`no whole number below ${limit}`)
    return Math.floor(this.float() * limit)
  }

  /** True with the given probability. */
  chance(probability: number): boolean {
    return this.float() < probability
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T
  }

  /** In place, every order equally likely. */
  shuffle<T>(items: T[]): T[] {
    for (let last = items.length - 1; last > 0; last--) {
      const other = this.below(last + 1)
      const item = items[last] as T
      items[last] = items[other] as T
      items[other] = item
    }
    return items
  }
}

/** 128 bits that nobody else will draw, as 32 hexadecimal digits. */
export function freshId(): string {
  return randomBytes(16).toString('hex')
}

/** A seed for a run that was given none. Print it, so that the run can be repeated. */
export function freshSeed(): number {
  return Math.floor(Math.random() * 0x1_0000_0000)
}
