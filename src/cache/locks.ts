/**
 * Locks over any placement: waiting for one, and the lease on one that was got.
 *
 * ```text
 * ask -> locked
 *     -> in line -> the lock comes -> locked
 *                -> the line is lost (another owner, another connection) -> ask
 *                -> out of time, aborted -> leave the line -> asked for the last time, or given up
 *                                        -> it has come just now -> locked
 * ```
 */
import { systemClock } from '../base/clock.ts'
import { RamcacheError, show } from '../base/errors.ts'
import { checkKey, type Key } from '../codec/key.ts'
import { validateCall } from '../config/call-options.ts'
import { parseDuration } from '../config/duration.ts'
import { type ValidatedLock, validateLock, validateTryLock } from '../config/lock-options.ts'
import type { CallOptions } from '../config/options.ts'
import type { LockAttempt, Locks } from '../native/engine.ts'
import type { Lease } from './types.ts'
import { unlessAborted } from './unless-aborted.ts'

/** A lock of a namespace. */
interface Named {
  readonly locks: Locks
  readonly namespace: string
  readonly key: Key
}

export async function lock(
  locks: Locks,
  namespace: string,
  key: Key,
  options: unknown,
  ensureOpen: () => void,
): Promise<Lease> {
  const validated = validateLock(options, 'lock()')
  validated.signal?.throwIfAborted()
  ensureOpen()
  checkKey(key)
  const named = { locks, namespace, key: copyOf(key) }
  const startedMs = nowMs()
  const attempt = await new Wait(named, validated).run()
  if (attempt.kind === 'locked') return new HeldLease(named, attempt.token, validated.ttlMs)
  const holder = attempt.pid === 0 ? 'somebody else' : `process ${attempt.pid}`
  const waited = `${Math.round(nowMs() - startedMs)} ms`
  const message = `${show(key)} is locked by ${holder} for up to ${attempt.leftMs} ms more; waited ${waited}`
  throw new RamcacheError('ERR_RAMCACHE_LOCKED', message)
}

export async function tryLock(
  locks: Locks,
  namespace: string,
  key: Key,
  options: unknown,
  ensureOpen: () => void,
): Promise<Lease | undefined> {
  const validated = validateTryLock(options, 'tryLock()')
  validated.signal?.throwIfAborted()
  ensureOpen()
  checkKey(key)
  const named = { locks, namespace, key: copyOf(key) }
  const attempt = await new Wait(named, validated).run()
  return attempt.kind === 'locked' ? new HeldLease(named, attempt.token, validated.ttlMs) : undefined
}

class Wait {
  readonly #named: Named
  readonly #options: ValidatedLock
  /** What the line has said. */
  #token: string | undefined
  #isLineLost = false
  #wake: () => void = () => {}

  constructor(named: Named, options: ValidatedLock) {
    this.#named = named
    this.#options = options
  }

  /** Never `queued`. Rejects with the reason of the signal at once, and gives back what comes too late. */
  run(): Promise<LockAttempt> {
    return unlessAborted(this.#run(), this.#options.signal)
  }

  async #run(): Promise<LockAttempt> {
    const { waitMs, signal } = this.#options
    const attempt = waitMs === 0 ? await this.#ask(undefined) : await this.#wait(nowMs() + waitMs)
    if (!signal?.aborted) return attempt
    const { locks, namespace, key } = this.#named
    if (attempt.kind === 'locked') await locks.unlock(namespace, key, attempt.token)
    throw signal.reason
  }

  async #wait(untilMs: number): Promise<LockAttempt> {
    const { locks, namespace, key } = this.#named
    const ticket = locks.ticket((token) => this.#told(token))
    try {
      for (;;) {
        this.#isLineLost = false
        const attempt = await this.#ask(ticket)
        if (attempt.kind !== 'queued') return attempt
        await this.#listen(untilMs)
        if (this.#token === undefined && this.#isLineLost) continue
        // Who stands in no line any more has been told, or is in a moment; or has lost it with a connection.
        if (this.#token === undefined && !(await locks.cancel(namespace, key, ticket))) {
          await this.#listen(Number.POSITIVE_INFINITY)
        }
        if (this.#token !== undefined) return { kind: 'locked', token: this.#token }
        return await this.#ask(undefined)
      }
    } finally {
      locks.forget(ticket)
    }
  }

  #ask(ticket: number | undefined): Promise<LockAttempt> {
    const { locks, namespace, key } = this.#named
    return locks.lock(namespace, key, this.#options.ttlMs, ticket)
  }

  #told(token: string | undefined): void {
    if (token === undefined) this.#isLineLost = true
    else this.#token = token
    this.#wake()
  }

  /** Until the line says something; with an end, not longer, and not when the signal is aborted. */
  async #listen(untilMs: number): Promise<void> {
    if (this.#token !== undefined || this.#isLineLost) return
    const signal = untilMs === Number.POSITIVE_INFINITY ? undefined : this.#options.signal
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      if (untilMs !== Number.POSITIVE_INFINITY) timer = setTimeout(resolve, Math.max(0, untilMs - nowMs()))
      signal?.addEventListener('abort', this.#wake)
      if (signal?.aborted) resolve()
    })
    clearTimeout(timer)
    signal?.removeEventListener('abort', this.#wake)
  }
}

class HeldLease implements Lease {
  readonly key: Key
  readonly token: string
  readonly #named: Named
  readonly #ttlMs: number

  constructor(named: Named, token: string, ttlMs: number) {
    this.#named = named
    this.key = named.key
    this.token = token
    this.#ttlMs = ttlMs
  }

  async renew(ttl?: number | string, options?: CallOptions): Promise<void> {
    const signal = options === undefined ? undefined : validateCall(options, 'renew()')
    signal?.throwIfAborted()
    const ttlMs = ttl === undefined ? this.#ttlMs : parseDuration(ttl, 'ttl of renew()')
    const { locks, namespace, key } = this.#named
    if (await locks.renew(namespace, key, this.token, ttlMs)) return
    const message = `the lease ${this.token} on ${show(key)} is lost: it was released, has expired, or ended with the connection that held it`
    throw new RamcacheError('ERR_RAMCACHE_LOCKED', message)
  }

  async release(options?: CallOptions): Promise<boolean> {
    const signal = options === undefined ? undefined : validateCall(options, 'release()')
    signal?.throwIfAborted()
    const { locks, namespace, key } = this.#named
    return locks.unlock(namespace, key, this.token)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release()
  }
}

function copyOf(key: Key): Key {
  return typeof key === 'string' ? key : Uint8Array.from(key)
}

function nowMs(): number {
  return systemClock.monotonicUs() / 1000
}
