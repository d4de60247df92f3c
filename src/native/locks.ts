/** Locks of the process that owns the store: those of this thread. They go with it, however it ends. */
import { RamcacheError } from '../base/errors.ts'
import { binding, type NativeHandle, translate } from './binding.ts'
import type { Come, Key, LockAttempt, Locks } from './engine.ts'
import type { NativeLockHolder } from './lock-binding.ts'

/** Digits of a token: text order is number order. */
const tokenDigits = 18

export class NativeLocks implements Locks {
  readonly #handle: NativeHandle
  readonly #holder: NativeLockHolder
  readonly #waiting = new Map<number, Come>()
  #lastTicket = 0
  #isClosed = false

  constructor(handle: NativeHandle) {
    this.#handle = handle
    this.#holder = binding().openLocks(handle, () => this.#collect())
  }

  ticket(come: Come): number {
    this.#lastTicket++
    this.#waiting.set(this.#lastTicket, come)
    return this.#lastTicket
  }

  forget(ticket: number): void {
    this.#waiting.delete(ticket)
  }

  async lock(namespace: string, key: Key, ttlMs: number, ticket?: number): Promise<LockAttempt> {
    return this.#call(() => {
      const number = binding().namespaceId(this.#handle, namespace)
      const { token, isQueued, pid, leftMs } = binding().lockKey(
        this.#holder,
        number,
        bytesOf(key),
        ttlMs,
        ticket,
      )
      if (token !== undefined) return { kind: 'locked', token: textOf(token) }
      return { kind: isQueued ? 'queued' : 'held', pid, leftMs }
    })
  }

  async cancel(_namespace: string, _key: Key, ticket: number): Promise<boolean> {
    return this.#call(() => binding().cancelLock(this.#holder, ticket))
  }

  async unlock(namespace: string, key: Key, token: string): Promise<boolean> {
    return this.#call(() => {
      const number = binding().namespaceId(this.#handle, namespace)
      return binding().unlockKey(this.#holder, number, bytesOf(key), BigInt(token))
    })
  }

  async renew(namespace: string, key: Key, token: string, ttlMs: number): Promise<boolean> {
    return this.#call(() => {
      const number = binding().namespaceId(this.#handle, namespace)
      return binding().renewLock(this.#holder, number, bytesOf(key), BigInt(token), ttlMs)
    })
  }

  /** Lets go of all. Who waits asks again, and hears that it is closed. */
  close(): void {
    this.#isClosed = true
    binding().closeLocks(this.#holder)
    const waiting = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const come of waiting) come(undefined)
  }

  #call<T>(work: () => T): T {
    if (this.#isClosed) throw new RamcacheError('ERR_RAMCACHE_CLOSED', 'the cache is closed')
    try {
      return work()
    } catch (error) {
      return translate(error)
    }
  }

  #collect(): void {
    for (const { ticket, token } of binding().takeGrants(this.#holder)) {
      this.#waiting.get(ticket)?.(textOf(token))
    }
  }
}

function bytesOf(key: Key): Uint8Array {
  return typeof key === 'string' ? Buffer.from(key) : key
}

function textOf(token: bigint): string {
  return token.toString().padStart(tokenDigits, '0')
}
