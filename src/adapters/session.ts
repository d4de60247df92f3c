/**
 * `ramcache/session`: a store of sessions for express-session and @fastify/session.
 *
 * A session is stored as the object that its JSON describes, under a prefix and its id, and ends with its cookie. express-session
 * wants a store that extends its own `Store`, which `storeFor` makes; @fastify/session takes any.
 */
import { EventEmitter } from 'node:events'
import { systemClock } from '../base/clock.ts'
import { show } from '../base/errors.ts'
import { type Duration, parseDuration } from '../config/duration.ts'
import { checkFields, configError } from '../config/fields.ts'
import type { Cache } from '../index.ts'
import { checkCache, checkText, storableTtl } from './checks.ts'

export interface SessionStoreOptions {
  /** What keys of sessions begin with. Default `'sess:'`. With `''`, `clear()` empties the whole namespace, at once. */
  prefix?: string
  /**
   * How long sessions stay whose cookie says nothing: ms or `'1d'`, which is the default. A function says it for each session,
   * in ms, whatever its cookie says.
   */
  ttl?: Duration | ((session: StoredSession, sid: string) => number)
  /** `touch` does nothing: a session ends where its last `set` has said. Default false. */
  disableTouch?: boolean
}

/** What a store knows of a session; what is read has dates as text, as JSON has. */
export interface StoredSession {
  cookie: { expires?: Date | string | boolean | null; maxAge?: number | null; originalMaxAge?: number | null }
}

/** As those that use it call it; without a callback they return promises. Errors are `RamcacheError`s. */
type Done<Result> = (error?: unknown, result?: Result) => void

/** The methods of a store, beside those it inherits. */
export interface SessionStore {
  /** The session, or null when there is none. */
  // biome-ignore lint/suspicious/noExplicitAny: what is in a session, its users know.
  get(sid: string, callback: (error?: any, session?: any) => void): void
  get(sid: string): Promise<StoredSession | null>
  set(sid: string, session: StoredSession, callback: Done<void>): void
  set(sid: string, session: StoredSession): Promise<void>
  /** A new time to live, of a session that is there; what is stored of it is unchanged. */
  touch(sid: string, session: StoredSession, callback: Done<void>): void
  touch(sid: string, session: StoredSession): Promise<void>
  destroy(sid: string, callback: Done<void>): void
  destroy(sid: string): Promise<void>
  /** All sessions, each with its `id`. */
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  all(callback: (error?: any, sessions?: any) => void): void
  all(): Promise<(StoredSession & { id: string })[]>
  length(callback: (error: unknown, length?: number) => void): void
  length(): Promise<number>
  clear(callback: Done<void>): void
  clear(): Promise<void>
}

type SessionStoreClass<Base> = new (cache: Cache, options?: SessionStoreOptions) => Base & SessionStore

const where = 'the session store'
const dayMs = 86_400_000

/** Sessions that are read or removed together where all are. */
const pageSessions = 100

/** What a store does, with promises. */
class Sessions {
  readonly #cache: Cache
  readonly #prefix: string
  readonly #ttl: number | ((session: StoredSession, sid: string) => number)
  readonly #touches: boolean

  constructor(cache: Cache, options: SessionStoreOptions) {
    checkCache(cache, where)
    checkFields(options, where, ['prefix', 'ttl', 'disableTouch'])
    const { ttl = dayMs, disableTouch = false } = options
    if (typeof disableTouch !== 'boolean') {
      throw configError(`disableTouch of ${where} must be true or false, not ${show(disableTouch)}`)
    }
    this.#cache = cache
    this.#prefix = checkText(options.prefix, 'prefix', where) ?? 'sess:'
    this.#ttl =
      typeof ttl === 'function'
        ? (ttl as (session: StoredSession, sid: string) => number)
        : parseDuration(ttl, `ttl of ${where}`)
    this.#touches = !disableTouch
  }

  async get(sid: string): Promise<StoredSession | null> {
    return (await this.#cache.get<StoredSession>(this.#prefix + sid)) ?? null
  }

  async set(sid: string, session: StoredSession): Promise<void> {
    const ttl = this.#ttlOf(session, sid)
    if (ttl === undefined) await this.destroy(sid)
    else await this.#cache.set(this.#prefix + sid, JSON.parse(JSON.stringify(session)), { ttl })
  }

  async touch(sid: string, session: StoredSession): Promise<void> {
    if (!this.#touches) return
    const ttl = this.#ttlOf(session, sid)
    if (ttl === undefined) await this.destroy(sid)
    else await this.#cache.touch(this.#prefix + sid, ttl)
  }

  async destroy(sid: string): Promise<void> {
    await this.#cache.delete(this.#prefix + sid)
  }

  async all(): Promise<(StoredSession & { id: string })[]> {
    const sessions: (StoredSession & { id: string })[] = []
    for await (const keys of this.#pages()) {
      for (const [key, session] of await this.#cache.getMany<StoredSession>(keys)) {
        sessions.push({ ...session, id: key.slice(this.#prefix.length) })
      }
    }
    return sessions
  }

  async length(): Promise<number> {
    let count = 0
    for await (const keys of this.#pages()) count += keys.length
    return count
  }

  async clear(): Promise<void> {
    if (this.#prefix === '') return this.#cache.clear()
    for await (const keys of this.#pages()) await this.#cache.deleteMany(keys)
  }

  async *#pages(): AsyncGenerator<string[], void> {
    let keys: string[] = []
    for await (const { key } of this.#cache.scan(this.#prefix === '' ? {} : { prefix: this.#prefix })) {
      keys.push(key)
      if (keys.length < pageSessions) continue
      yield keys
      keys = []
    }
    if (keys.length > 0) yield keys
  }

  /** `undefined` when it has ended already. */
  #ttlOf(session: StoredSession, sid: string): number | undefined {
    if (typeof this.#ttl === 'function') return storableTtl(this.#ttl(session, sid))
    const { expires, maxAge } = session.cookie ?? {}
    const isGiven = expires instanceof Date || typeof expires === 'string'
    const endsAtMs = isGiven ? new Date(expires).getTime() : Number.NaN
    if (!Number.isNaN(endsAtMs)) return storableTtl(endsAtMs - systemClock.nowMs())
    return storableTtl(typeof maxAge === 'number' ? maxAge : this.#ttl)
  }
}

function storeOver(Base: new () => EventEmitter): SessionStoreClass<EventEmitter> {
  class RamcacheStore extends Base {
    readonly #sessions: Sessions

    constructor(cache: Cache, options: SessionStoreOptions = {}) {
      super()
      this.#sessions = new Sessions(cache, options)
    }

    get(sid: string, callback?: Done<StoredSession | null>) {
      return answer(this.#sessions.get(sid), callback)
    }

    set(sid: string, session: StoredSession, callback?: Done<void>) {
      return answer(this.#sessions.set(sid, session), callback)
    }

    touch(sid: string, session: StoredSession, callback?: Done<void>) {
      return answer(this.#sessions.touch(sid, session), callback)
    }

    destroy(sid: string, callback?: Done<void>) {
      return answer(this.#sessions.destroy(sid), callback)
    }

    all(callback?: Done<StoredSession[]>) {
      return answer(this.#sessions.all(), callback)
    }

    length(callback?: Done<number>) {
      return answer(this.#sessions.length(), callback)
    }

    clear(callback?: Done<void>) {
      return answer(this.#sessions.clear(), callback)
    }
  }
  return RamcacheStore as unknown as SessionStoreClass<EventEmitter>
}

/** A callback is called outside of the promise: what it throws is its own. */
function answer<Result>(promise: Promise<Result>, callback?: Done<Result>): Promise<Result> | undefined {
  if (callback === undefined) return promise
  promise.then(
    (result) => process.nextTick(callback, null, result),
    (error) => process.nextTick(callback, error),
  )
  return undefined
}

/** The class of stores for express-session: `const RamcacheStore = storeFor(session)`. */
export function storeFor<Base extends EventEmitter>(session: {
  Store: abstract new () => Base
}): SessionStoreClass<Base> {
  const Store: unknown = session?.Store
  if (typeof Store !== 'function') {
    throw configError(`storeFor() needs express-session, or what has a Store as it has, not ${show(session)}`)
  }
  return storeOver(Store as new () => EventEmitter) as SessionStoreClass<Base>
}

/** The class of stores for @fastify/session. */
export class RamcacheStore extends storeOver(EventEmitter) {
  /** @internal Only express-session asks for it, which would fail at the second visit of a session. */
  createSession(): never {
    throw configError('express-session needs a store from storeFor(session) of ramcache/session')
  }
}
