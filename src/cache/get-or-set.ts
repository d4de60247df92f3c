/**
 * `getOrSet`: a value, or what a factory makes of it, computed once for all callers of the machine.
 *
 * Callers of one process share a flight; flights of several processes share a lease. A value is never stored over a change
 * that came after its lease, and a caller that came after that change never gets it.
 */
import { systemClock } from '../base/clock.ts'
import { RamcacheError, show } from '../base/errors.ts'
import { freezeDeep } from '../codec/freeze.ts'
import type { Factory, FactoryContext, ValidatedGetOrSet } from '../config/get-or-set-options.ts'
import type { Entry, Key } from '../native/engine.ts'
import { Flight, type FlightPlan, type Landing, type LeaseSide } from './flight.ts'
import { unlessAborted } from './unless-aborted.ts'

/** What it needs of the cache it belongs to. */
export interface FillSide extends LeaseSide {
  /** From RAM, at once, counted; frozen where the cache gives out frozen values. */
  getNow(key: Key): unknown
  /** The same with the times of the entry, and the store's. */
  entryNow(key: Key): { readonly entry: Entry; readonly nowMs: number } | undefined
  /** Right after one of these has found nothing: from the lower tiers, if they may have it. */
  getCold(key: Key): Promise<unknown> | undefined
  readonly isFrozen: boolean
  /** Of the namespace. */
  readonly ttlMs: number | undefined
}

/** Flights of one namespace, in one thread, by key. */
export type Flights = Map<string, Flight>

type AnyFactory = (context: FactoryContext) => unknown

/** Each failed attempt means that the key was changed while its value was computed. */
const attemptsMax = 100

/** The value of a key, computed where there is none. */
export function getOrSet<T>(
  side: FillSide,
  flights: Flights,
  key: Key,
  factory: Factory<T>,
  call: ValidatedGetOrSet,
): Promise<T> {
  return find(side, flights, key, factory as AnyFactory, call) as Promise<T>
}

function find(
  side: FillSide,
  flights: Flights,
  key: Key,
  factory: AnyFactory,
  call: ValidatedGetOrSet,
): Promise<unknown> {
  let cold: Promise<unknown> | undefined
  try {
    call.signal?.throwIfAborted()
    const value = call.eagerRefresh === undefined ? side.getNow(key) : undefined
    if (value !== undefined) return Promise.resolve(value)
    const found = call.eagerRefresh === undefined ? undefined : side.entryNow(key)
    if (found !== undefined) {
      const { entry, nowMs } = found
      if (isDue(entry, nowMs, call.eagerRefresh)) refresh(side, flights, key, factory, call)
      return Promise.resolve(side.isFrozen ? side.valueOf(key, entry) : entry.value)
    }
    cold = side.getCold(key)
  } catch (error) {
    if (call.signal?.aborted || call.isStrict) return Promise.reject(error)
    side.failed(key, error)
  }
  const own = typeof key === 'string' ? key : Uint8Array.from(key)
  return new GetOrSet(side, flights, own, factory, call).run(cold)
}

function isDue({ createdAt, expiresAt }: Entry, nowMs: number, share = 1): boolean {
  return expiresAt !== undefined && nowMs >= createdAt + (expiresAt - createdAt) * share
}

/** Computes in the background what is still good. */
function refresh(
  side: FillSide,
  flights: Flights,
  key: Key,
  factory: AnyFactory,
  call: ValidatedGetOrSet,
): void {
  const own = typeof key === 'string' ? key : Uint8Array.from(key)
  if (flights.has(flightKeyOf(own))) return
  const flight = start(side, flights, { key: own, factory, call, refreshes: true, ttlMs: side.ttlMs })
  flight.done.catch((error) => side.failed(own, error))
}

function start(side: FillSide, flights: Flights, plan: FlightPlan): Flight {
  const flight = new Flight(side, plan)
  const flightKey = flightKeyOf(plan.key)
  flights.set(flightKey, flight)
  const land = () => flights.delete(flightKey)
  flight.done.then(land, land)
  return flight
}

class GetOrSet {
  readonly #side: FillSide
  readonly #flights: Flights
  readonly #key: Key
  readonly #factory: AnyFactory
  readonly #call: ValidatedGetOrSet
  readonly #startedMs = nowMs()

  constructor(side: FillSide, flights: Flights, key: Key, factory: AnyFactory, call: ValidatedGetOrSet) {
    this.#side = side
    this.#flights = flights
    this.#key = key
    this.#factory = factory
    this.#call = call
  }

  /** After a first look at RAM that has found nothing; `cold` is what that has left to ask. */
  async run(cold: Promise<unknown> | undefined): Promise<unknown> {
    let asked = cold
    for (let attempt = 1; ; attempt++) {
      const found = await this.#below(asked)
      if (found !== undefined) return found
      const { landing, flight, isOwn } = await this.#fly()
      if (landing.kind === 'stale') return this.#staleOf(landing.entry)
      if (landing.kind === 'computed') {
        if (isOwn || landing.became === 'unstored' || attempt === attemptsMax) return this.#own(landing.value)
        // Who came later than a change must not get what was computed before it: only what is there.
      }
      if (landing.kind === 'paused' && flight.stale !== undefined && this.#call.graceMs > 0) {
        return this.#staleOf(flight.stale)
      }
      // This caller takes nothing stale, and nobody else is to compute anything: it does so for itself.
      if (landing.kind === 'paused' || attempt === attemptsMax) return flight.computeAlone(this.#factory)
      const value = this.#now()
      if (value !== undefined) return value
      asked = this.#side.getCold(this.#key)
    }
  }

  /** What the lower tiers have; what is wrong with one of them is no reason not to compute. */
  async #below(asked: Promise<unknown> | undefined): Promise<unknown> {
    if (asked === undefined) return undefined
    try {
      return await unlessAborted(asked, this.#call.signal)
    } catch (error) {
      if (this.#call.signal?.aborted || this.#call.isStrict) throw error
      this.#side.failed(this.#key, error)
      return undefined
    }
  }

  #now(): unknown {
    try {
      return this.#side.getNow(this.#key)
    } catch (error) {
      if (this.#call.isStrict) throw error
      this.#side.failed(this.#key, error)
      return undefined
    }
  }

  /** What the flight of this key comes to; sooner, what is stale, where this caller takes that. */
  async #fly(): Promise<{
    landing: Landing | { readonly kind: 'stale'; readonly entry: Entry }
    flight: Flight
    isOwn: boolean
  }> {
    const { graceMs, timeoutMs, hardTimeoutMs, signal } = this.#call
    const known = this.#flights.get(flightKeyOf(this.#key))
    const plan = {
      key: this.#key,
      factory: this.#factory,
      call: this.#call,
      refreshes: false,
      ttlMs: this.#side.ttlMs,
    }
    const flight = known ?? start(this.#side, this.#flights, plan)
    const isOwn = known === undefined
    const isStaleTaken = () => flight.stale !== undefined && graceMs > 0
    const stale = () => ({ landing: { kind: 'stale', entry: flight.stale as Entry } as const, flight, isOwn })
    const leave = flight.join()
    const clock = new Countdown(signal)
    try {
      const hardEnd = hardTimeoutMs === undefined ? undefined : this.#startedMs + hardTimeoutMs
      await clock.race(flight.begun, hardEnd)
      const end = isStaleTaken() ? Math.min(this.#startedMs + timeoutMs, hardEnd ?? Infinity) : hardEnd
      const landing = await clock.race(flight.done, end)
      if (landing !== late) return { landing, flight, isOwn }
      if (isStaleTaken()) return stale()
    } catch (error) {
      if (signal?.aborted || !isStaleTaken()) throw error
      this.#side.failed(this.#key, error)
      return stale()
    } finally {
      clock.stop()
      leave()
    }
    const message = `there was no value for ${show(this.#key)} within the hardTimeout of ${hardTimeoutMs} ms`
    throw new RamcacheError('ERR_RAMCACHE_TIMEOUT', message)
  }

  /** What a factory has returned, as the cache gives it out. */
  #own(value: unknown): unknown {
    if (!this.#side.isFrozen || value === undefined) return value
    const stored = this.#now()
    if (stored === undefined) freezeDeep(value)
    return stored ?? value
  }

  #staleOf(entry: Entry): unknown {
    return this.#side.valueOf(this.#key, entry)
  }
}

const late = Symbol('late')

/** Promises against a time and a signal, with nothing left behind. */
class Countdown {
  readonly #signal: AbortSignal | undefined
  readonly #stops: (() => void)[] = []

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal
  }

  race<T>(promise: Promise<T>, endMs: number | undefined): Promise<T | typeof late> {
    const signal = this.#signal
    const all: Promise<T | typeof late>[] = [promise]
    if (endMs !== undefined) {
      all.push(
        new Promise((resolve) => {
          const timer = setTimeout(() => resolve(late), Math.max(0, endMs - nowMs()))
          this.#stops.push(() => clearTimeout(timer))
        }),
      )
    }
    if (signal !== undefined) {
      all.push(
        new Promise((_, reject) => {
          const abort = () => reject(signal.reason)
          if (signal.aborted) abort()
          else signal.addEventListener('abort', abort, { once: true })
          this.#stops.push(() => signal.removeEventListener('abort', abort))
        }),
      )
    }
    return all.length === 1 ? promise : Promise.race(all)
  }

  stop(): void {
    for (const stop of this.#stops) stop()
  }
}

/** Text and bytes of the same letters are the same key. */
function flightKeyOf(key: Key): string {
  return (
    typeof key === 'string' ? Buffer.from(key) : Buffer.from(key.buffer, key.byteOffset, key.length)
  ).toString('latin1')
}

function nowMs(): number {
  return systemClock.monotonicUs() / 1000
}
