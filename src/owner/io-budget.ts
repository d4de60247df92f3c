/** What movement between the tiers may take of a disk: says how long to rest after so many bytes. */
import { type Clock, systemClock } from '../base/clock.ts'

export class IoBudget {
  readonly #bytesPerSecond: number
  readonly #clock: Clock
  /** When what was spent so far is paid. */
  #paidAtMs = 0

  constructor(bytesPerSecond = Number.POSITIVE_INFINITY, clock: Clock = systemClock) {
    this.#bytesPerSecond = bytesPerSecond
    this.#clock = clock
  }

  /** Counts bytes; the milliseconds until they are paid. Time that passed unused is not saved up. */
  spend(bytes: number): number {
    const nowMs = this.#clock.monotonicUs() / 1000
    this.#paidAtMs = Math.max(this.#paidAtMs, nowMs) + (bytes / this.#bytesPerSecond) * 1000
    return this.#paidAtMs - nowMs
  }
}
