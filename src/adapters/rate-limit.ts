/**
 * `ramcache/rate-limit`: stores for express-rate-limit and @fastify/rate-limit, over the limiters of a cache.
 *
 * Both packages count hits, and compare with their limit themselves. Where the limit is known, a hit beyond it is not counted,
 * so that the window has room again whoever goes on asking; where it is not, or where hits are taken back, all count.
 */
import { systemClock } from '../base/clock.ts'
import { show } from '../base/errors.ts'
import { type Duration, parseDuration, ttlLimits } from '../config/duration.ts'
import { checkFields, configError } from '../config/fields.ts'
import type { Cache, Limiter, LimiterResult } from '../index.ts'
import { checkCache, checkText } from './checks.ts'
import { boundedName } from './keys.ts'

export interface RateLimitStoreOptions {
  /** Name of the limiter, 1 to 64 visible ASCII characters: stores with the same one share their counts. Default `'rl:'`. */
  prefix?: string
  /** How long a key is denied once it was denied. Default 0: until the window has room again. */
  penalty?: Duration
}

/** What express-rate-limit says of itself to its store. */
export interface ExpressRateLimitOptions {
  windowMs: number
  limit: number | ((...request: never[]) => unknown)
  skipFailedRequests?: boolean
  skipSuccessfulRequests?: boolean
}

export interface RateLimitHits {
  totalHits: number
  resetTime: Date | undefined
}

/** The most a limiter takes, in place of a limit that is not known. */
const limitMax = 1_000_000_000
const usualWindowMs = 60_000

/** What both have of their options. */
class Source {
  readonly prefix: string
  readonly #cache: Cache
  readonly #penaltyMs: number
  /** By limit and window; most have one. */
  readonly #limiters = new Map<string, Limiter>()

  constructor(cache: Cache, options: RateLimitStoreOptions, where: string) {
    checkCache(cache, where)
    checkFields(options, where, ['prefix', 'penalty'])
    const { penalty = 0 } = options
    this.prefix = checkText(options.prefix, 'prefix', where) ?? 'rl:'
    this.#cache = cache
    this.#penaltyMs = parseDuration(penalty, `penalty of ${where}`, { minMs: 0, maxMs: ttlLimits.maxMs })
    // What is wrong with the prefix is said now.
    this.limiter(1, usualWindowMs)
  }

  limiter(limit: number, windowMs: number): Limiter {
    const id = `${limit} ${windowMs}`
    let limiter = this.#limiters.get(id)
    if (limiter === undefined) {
      // Limits that a function makes may be any.
      if (this.#limiters.size >= limitersMax) this.#limiters.clear()
      limiter = this.#cache.limiter(this.prefix, { limit, window: windowMs, penalty: this.#penaltyMs })
      this.#limiters.set(id, limiter)
    }
    return limiter
  }

  /** Counts a hit; hits and milliseconds, as both packages want them. With `countsAll`, or no limit, in any case. */
  async hit(
    key: string,
    limit: number | undefined,
    windowMs: number,
    countsAll: boolean,
  ): Promise<{ hits: number; ms: number }> {
    const bounded = boundedName(key)
    if (limit === undefined || limit < 1 || limit > limitMax || countsAll) {
      const { consumed, resetMs } = await this.limiter(limitMax, windowMs).penalty(bounded)
      return { hits: consumed, ms: resetMs }
    }
    const result = await this.limiter(Math.floor(limit), windowMs).consume(bounded)
    const { allowed, consumed, resetMs, retryAfterMs } = result
    return allowed ? { hits: consumed, ms: resetMs } : { hits: Math.floor(limit) + 1, ms: retryAfterMs }
  }
}

const limitersMax = 1000

/** For express-rate-limit 7 and 8: `rateLimit({ windowMs, limit, store: new RamcacheStore(cache) })`. */
export class RamcacheStore {
  /** Counts are common to all processes. */
  readonly localKeys = false
  readonly #source: Source
  #windowMs = usualWindowMs
  #limit: number | undefined
  /** Hits are taken back afterwards, so each must have been counted. */
  #countsAll = false

  constructor(cache: Cache, options: RateLimitStoreOptions = {}) {
    this.#source = new Source(cache, options, 'the store of express-rate-limit')
  }

  get prefix(): string {
    return this.#source.prefix
  }

  init(options: ExpressRateLimitOptions): void {
    const { windowMs, limit, skipFailedRequests = false, skipSuccessfulRequests = false } = options
    this.#windowMs = Math.ceil(windowMs)
    this.#limit = typeof limit === 'number' ? limit : undefined
    this.#countsAll = skipFailedRequests || skipSuccessfulRequests
  }

  async increment(key: string): Promise<RateLimitHits> {
    const { hits, ms } = await this.#source.hit(key, this.#limit, this.#windowMs, this.#countsAll)
    return { totalHits: hits, resetTime: new Date(systemClock.nowMs() + ms) }
  }

  async decrement(key: string): Promise<void> {
    await this.#any().reward(boundedName(key))
  }

  async resetKey(key: string): Promise<void> {
    await this.#any().delete(boundedName(key))
  }

  /** `undefined` when nothing was counted. */
  async get(key: string): Promise<RateLimitHits | undefined> {
    const { consumed, resetMs }: LimiterResult = await this.#any().get(boundedName(key))
    if (consumed === 0) return undefined
    return { totalHits: consumed, resetTime: new Date(systemClock.nowMs() + resetMs) }
  }

  #any(): Limiter {
    return this.#source.limiter(limitMax, this.#windowMs)
  }
}

/** What a store of @fastify/rate-limit is told of a plugin or a route. */
interface FastifyParams {
  readonly continueExceeding?: boolean
  readonly exponentialBackoff?: boolean
  readonly ban?: number
  readonly groupId?: string
  readonly routeInfo?: { readonly method?: unknown; readonly url?: unknown }
}

type Done = (error: Error | null, result?: { current: number; ttl: number }) => void

export interface FastifyRateLimitStore {
  incr(key: string, callback: Done, timeWindow?: number, max?: number): void
  child(routeOptions: object): FastifyRateLimitStore
}

class FastifyStore implements FastifyRateLimitStore {
  readonly #source: Source
  /** Before each key: the route that it is counted for. */
  readonly #route: string
  readonly #countsAll: boolean

  constructor(source: Source, params: FastifyParams, route: string) {
    const { continueExceeding = false, exponentialBackoff = false, ban = -1 } = params
    if (exponentialBackoff) {
      throw configError(
        `exponentialBackoff is not supported by the store of @fastify/rate-limit; penalty is, not ${show(exponentialBackoff)}`,
      )
    }
    this.#source = source
    this.#route = route
    this.#countsAll = continueExceeding || ban >= 0
  }

  incr(key: string, callback: Done, timeWindow = usualWindowMs, max?: number): void {
    const windowMs = Math.max(1, Math.ceil(timeWindow))
    this.#source.hit(this.#route + key, max, windowMs, this.#countsAll).then(
      ({ hits, ms }) => callback(null, { current: hits, ttl: ms }),
      (error: Error) => callback(error),
    )
  }

  /** Routes of a group are counted together, every other one by itself. */
  child(routeOptions: FastifyParams): FastifyStore {
    const { groupId, routeInfo } = routeOptions
    const route = groupId === undefined ? `${routeInfo?.method}${routeInfo?.url}-` : 'group-'
    return new FastifyStore(this.#source, routeOptions, this.#route + route)
  }
}

/** For @fastify/rate-limit 10: `fastify.register(rateLimit, { max, timeWindow, store: fastifyStore(cache) })`. */
export function fastifyStore(
  cache: Cache,
  options: RateLimitStoreOptions = {},
): new (
  params: object,
) => FastifyRateLimitStore {
  const source = new Source(cache, options, 'the store of @fastify/rate-limit')
  return class extends FastifyStore {
    constructor(params: FastifyParams) {
      super(source, params, '')
    }
  }
}

export default RamcacheStore
