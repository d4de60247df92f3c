/**
 * Time. Everything that asks what time it is, asks a `Clock`, so tests can hold time still and move it.
 *
 * `nowMs` is wall time: milliseconds since 1970, may step. `monotonicUs` only grows and measures how long things take.
 */

export interface Clock {
  /** Wall time in whole milliseconds since 1970-01-01 UTC. */
  nowMs(): number
  /** Microseconds since an arbitrary moment, with fractions; never goes back. */
  monotonicUs(): number
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicUs: () => performance.now() * 1000,
}

/** A clock that stands still until it is told to move; both readings move together. */
export class ManualClock implements Clock {
  #elapsedMs = 0
  readonly #startMs: number

  constructor(startMs = 1_700_000_000_000) {
    this.#startMs = startMs
  }

  nowMs(): number {
    return Math.floor(this.#startMs + this.#elapsedMs)
  }

  monotonicUs(): number {
    return this.#elapsedMs * 1000
  }

  advance(ms: number): void {
    if (!(ms >= 0)) throw new RangeError(`a clock cannot advance by ${ms} ms`)
    this.#elapsedMs += ms
  }
}
