/**
 * Named locks: an entry with a time to live, added only where there is none, and renewed while it is held. Whoever dies or
 * stands still longer than that loses the lock. An entry is ever changed only in the version its holder wrote, so nobody
 * releases or renews what has meanwhile become somebody else's.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { systemClock } from '../base/clock.ts'
import { freshId } from '../base/prng.ts'
import type { Cache } from '../index.ts'

export const lockNamespace = 'wincache-locks'

const leaseMs = 10_000
/** Two renewals may fail before the lease ends. */
const renewMs = 3_000
const pauseLeastMs = 1
const pauseMostMs = 25

interface Held {
  /** Among all processes. */
  readonly name: string
  /** Nobody else writes it: tells whether an entry is ours where an answer was lost. */
  readonly token: string
  version: string
  /** Locks are renewed and released one after the other. */
  last: Promise<unknown>
}

export type LockAnswer = 'locked' | 'held here' | 'timed out'

export class Locks {
  readonly #cache: Cache
  readonly #held = new Map<string, Held>()
  readonly #timer: NodeJS.Timeout

  constructor(cache: Cache) {
    this.#cache = cache
    this.#timer = setInterval(() => this.#renewAll(), renewMs).unref()
  }

  /** `name` is that of the lock among all processes, `key` that by which this one lets it go. */
  async lock(key: string, name: string, waitMs: number): Promise<LockAnswer> {
    if (this.#held.has(key)) return 'held here'
    const token = freshId()
    const untilUs = systemClock.monotonicUs() + waitMs * 1000
    for (let pauseMs = pauseLeastMs; ; pauseMs = Math.min(2 * pauseMs, pauseMostMs)) {
      const version = await this.#take(name, token)
      if (version !== undefined) {
        this.#held.set(key, { name, token, version, last: Promise.resolve() })
        return 'locked'
      }
      const leftMs = (untilUs - systemClock.monotonicUs()) / 1000
      if (leftMs <= 0) return 'timed out'
      await wait(Math.min(pauseMs, leftMs))
    }
  }

  /** Whether this process held it until now. */
  async unlock(key: string): Promise<boolean> {
    const held = this.#held.get(key)
    if (held === undefined) return false
    this.#held.delete(key)
    await held.last
    // There is no conditional delete: what says that nobody holds it, and is gone at once, is as good.
    return (await this.#write(held, null, 1)) !== undefined
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    for (const key of [...this.#held.keys()]) await this.unlock(key).catch(() => false)
  }

  async #take(name: string, token: string): Promise<string | undefined> {
    const options = { ttl: leaseMs }
    const added = await this.#cache.set(name, token, { ...options, ifAbsent: true })
    if (added !== undefined) return added.version
    const entry = await this.#cache.getEntry(name)
    if (entry === undefined || entry.value !== null) return undefined
    const taken = await this.#cache.set(name, token, { ...options, ifVersion: entry.version })
    return taken?.version
  }

  #renewAll(): void {
    for (const [key, held] of this.#held) {
      held.last = held.last.then(() => this.#renew(key, held)).catch(() => {})
    }
  }

  async #renew(key: string, held: Held): Promise<void> {
    if (this.#held.get(key) !== held) return
    held.version = (await this.#write(held, held.token, leaseMs)) ?? held.version
  }

  /** Replaces the entry if it is still ours, whatever became of the writes before. */
  async #write(held: Held, value: string | null, ttl: number): Promise<string | undefined> {
    const { name } = held
    const written = await this.#cache.set(name, value, { ttl, ifVersion: held.version })
    if (written !== undefined) return written.version
    const entry = await this.#cache.getEntry(name)
    if (entry?.value !== held.token) return undefined
    return (await this.#cache.set(name, value, { ttl, ifVersion: entry.version }))?.version
  }
}
