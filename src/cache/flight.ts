/**
 * One computation of a missing value, on behalf of all callers of this process that ask for its key: the lease of the
 * store says whether it is made here or elsewhere.
 */
import { setTimeout as after } from 'node:timers/promises'
import { freshSeed, Prng } from '../base/prng.ts'
import type { FactoryContext, FactorySays, ValidatedGetOrSet } from '../config/get-or-set-options.ts'
import { noteOptions } from '../config/get-or-set-options.ts'
import type { Entry, Key, Leased, WriteOptions } from '../native/engine.ts'

/** How a cache asks the store for leases and fills them. */
export interface LeaseSide {
  lease(key: Key, leaseMs: number, refreshes: boolean): Promise<Leased>
  /** Whether it was stored: not when the key has changed since the lease was granted. */
  fill(key: Key, value: unknown, write: WriteOptions): Promise<boolean>
  abandon(key: Key, token: string, pauseMs: number): Promise<unknown>
  /** Whether RAM has a fresh value; not counted, no use of it. */
  isThere(key: Key): boolean
  /** A stale value as a caller may have it. */
  valueOf(key: Key, entry: Entry): unknown
  /** Something that is not for the callers has failed. */
  failed(key: Key, error: unknown): void
}

/** What a flight came to. */
export type Landing =
  /** The value is in the cache. */
  | { readonly kind: 'there' }
  /** Computed here. `overtaken`: not stored, the key has changed meanwhile; `unstored`: for another reason. */
  | {
      readonly kind: 'computed'
      readonly value: unknown
      readonly became: 'stored' | 'overtaken' | 'unstored'
    }
  /** Nobody is to compute it for a while. */
  | { readonly kind: 'paused' }

export interface FlightPlan {
  readonly key: Key
  readonly call: ValidatedGetOrSet
  readonly factory: (context: FactoryContext) => unknown
  /** Compute also what is fresh. */
  readonly refreshes: boolean
  /** Time to live where the call says nothing. */
  readonly ttlMs: number | undefined
}

const chance = new Prng(freshSeed())

/** A factory that takes longer may be called a second time, by another process. */
export const leaseMs = 60_000
/** While another process computes: looks at shared memory, at intervals that double from 1 ms to this. */
const lookMsMax = 16
/** Of so many looks one asks the owner whether the other process still does. */
const looksPerQuestion = 4

export class Flight {
  readonly done: Promise<Landing>
  /** Resolves when it is known what is stale, or that there is nothing. */
  readonly begun: Promise<void>
  stale: Entry | undefined
  readonly #side: LeaseSide
  readonly #plan: FlightPlan
  readonly #aborting = new AbortController()
  #waiting = 0
  #begin: () => void = () => {}

  constructor(side: LeaseSide, plan: FlightPlan) {
    this.#side = side
    this.#plan = plan
    this.begun = new Promise((resolve) => {
      this.#begin = resolve
    })
    this.done = this.#fly().finally(this.#begin)
    // Whoever waits has handlers of its own; perhaps nobody does any more.
    this.done.catch(() => {})
  }

  /** Counts a caller in; what is returned counts it out again. A refresh in the background goes on without any. */
  join(): () => void {
    this.#waiting++
    return () => {
      if (--this.#waiting === 0 && !this.#plan.refreshes) this.#aborting.abort()
    }
  }

  async #fly(): Promise<Landing> {
    const { key, call, refreshes } = this.#plan
    let leased: Leased
    try {
      leased = await this.#lease(refreshes)
      for (let looks = 0; leased.state === 'busy'; ) {
        await after(Math.min(1 << looks, lookMsMax))
        if (!refreshes && this.#side.isThere(key)) return { kind: 'there' }
        if (++looks % looksPerQuestion === 0) leased = await this.#lease(refreshes)
      }
    } catch (error) {
      if (call.isStrict) throw error
      this.#side.failed(key, error)
      this.#begin()
      return { kind: 'computed', value: await this.#compute({}), became: 'unstored' }
    }
    if (leased.state === 'fresh') return { kind: 'there' }
    if (leased.token === undefined) return { kind: 'paused' }
    return this.#computeUnder(leased.token)
  }

  async #lease(refreshes: boolean): Promise<Leased> {
    const leased = await this.#side.lease(this.#plan.key, leaseMs, refreshes)
    this.stale = leased.stale
    this.#begin()
    return leased
  }

  async #computeUnder(token: string): Promise<Landing> {
    const { key, call } = this.#plan
    const says: FactorySays = {}
    let value: unknown
    try {
      value = await this.#compute(says)
    } catch (error) {
      await this.#giveUp(token, call.graceMs > 0 ? call.backoffMs : 0)
      throw error
    }
    if (value === undefined) {
      await this.#giveUp(token, 0)
      return { kind: 'computed', value, became: 'unstored' }
    }
    try {
      const isStored = await this.#side.fill(key, value, this.#writeOf(value, says, token))
      if (!isStored) await this.#giveUp(token, 0)
      return { kind: 'computed', value, became: isStored ? 'stored' : 'overtaken' }
    } catch (error) {
      await this.#giveUp(token, 0)
      if (call.isStrict) throw error
      this.#side.failed(key, error)
      return { kind: 'computed', value, became: 'unstored' }
    }
  }

  /** For one caller: whatever comes of it is not stored. */
  computeAlone(factory: (context: FactoryContext) => unknown): Promise<unknown> {
    return this.#compute({}, factory)
  }

  async #compute(says: FactorySays, factory = this.#plan.factory): Promise<unknown> {
    const { key } = this.#plan
    const { stale } = this
    const gracedEntry = stale === undefined ? undefined : { value: this.#side.valueOf(key, stale) }
    return factory({
      signal: this.#aborting.signal,
      gracedEntry,
      setTtl: (ttl) => noteOptions(says, { ttl }, 'setTtl()'),
      setTags: (tags) => noteOptions(says, { tags }, 'setTags()'),
      setOptions: (options) => noteOptions(says, options, 'setOptions()'),
      skip: () => undefined,
      fail: (message = 'the factory has failed') => {
        throw new Error(message)
      },
    })
  }

  #writeOf(value: unknown, says: FactorySays, token: string): WriteOptions {
    const { call } = this.#plan
    const ownTtlMs = says.ttlMs ?? call.write.ttlMs ?? this.#plan.ttlMs
    const ttlMs = value === null ? (call.negativeTtlMs ?? ownTtlMs) : ownTtlMs
    const graceMs = says.graceMs ?? call.graceMs
    const tags = says.tags ?? call.write.tags
    return {
      ...call.write,
      ...(tags === undefined ? {} : { tags }),
      ...(ttlMs === undefined ? {} : { ttlMs: shortened(ttlMs, call.jitter) }),
      ...(graceMs === 0 ? {} : { graceMs }),
      lease: token,
    }
  }

  /** Whether or not that succeeds, the lease ends: with its time, or with this process. */
  async #giveUp(token: string, pauseMs: number): Promise<void> {
    try {
      await this.#side.abandon(this.#plan.key, token, pauseMs)
    } catch (error) {
      this.#side.failed(this.#plan.key, error)
    }
  }
}

function shortened(ttlMs: number, jitter: number): number {
  return Math.max(1, Math.round(ttlMs * (1 - chance.float() * jitter)))
}
