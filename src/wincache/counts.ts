/**
 * Hits and misses of all processes: counted here, and added to counters of the store from time to time. The store's own
 * numbers will not do: WinCache counts what `get` finds, not what `exists` or `inc` look at.
 */
import type { Cache } from '../index.ts'

export type Counted =
  | 'ucache hits'
  | 'ucache misses'
  | 'fcache hits'
  | 'fcache misses'
  | 'scache hits'
  | 'scache misses'
  | 'rplist hits'
  | 'rplist misses'

/** What a process that is killed has counted and nobody knows. */
const flushMs = 1000

export class Counts {
  readonly #cache: Cache
  readonly #pending = new Map<Counted, number>()
  readonly #timer: NodeJS.Timeout

  constructor(cache: Cache) {
    this.#cache = cache
    // A store that cannot be reached now may be reached later: what is pending stays so.
    this.#timer = setInterval(() => this.flush().catch(() => {}), flushMs).unref()
  }

  add(name: Counted, by = 1): void {
    if (by > 0) this.#pending.set(name, (this.#pending.get(name) ?? 0) + by)
  }

  async total(name: Counted): Promise<number> {
    await this.flush()
    const value = await this.#cache.get(name)
    return typeof value === 'number' ? value : 0
  }

  async flush(): Promise<void> {
    for (const [name, by] of [...this.#pending]) {
      this.#pending.delete(name)
      try {
        await this.#cache.incr(name, by, { init: 0 })
      } catch (error) {
        this.add(name, by)
        throw error
      }
    }
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
