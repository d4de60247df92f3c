/**
 * Leases on ids of blobs: as long as one stands, the sweep leaves the id alone. A lease is a pinned entry that expires
 * by the clock of the store, so a process that dies lets go of it. All streams on one id share it, in all threads; its
 * value counts them.
 */
import type { Readable, Writable } from 'node:stream'
import { RamcacheError } from '../base/errors.ts'
import type { PinnedEntries } from './pinned.ts'

/** How long a lease stands after its holder was last heard of. */
export const leaseMs = 60_000
const renewEveryMs = leaseMs / 4
/** Each failed attempt means that another thread succeeded in between. */
const attemptsMax = 10_000

export type Holder = Readable | Writable

interface Held {
  readonly id: string
  /** Weak: a stream that was forgotten without being destroyed must not hold its lease for ever. */
  readonly holder: WeakRef<Holder>
}

export class Leases {
  readonly #space: PinnedEntries
  readonly #held = new Set<Held>()
  #timer: NodeJS.Timeout | undefined

  constructor(space: PinnedEntries) {
    this.#space = space
  }

  /** Returns what gives it back; that never fails, and a second call does nothing. */
  take(id: string, holder: Holder): () => void {
    this.#count(id, 1)
    const held = { id, holder: new WeakRef(holder) }
    this.#held.add(held)
    this.#timer ??= setInterval(() => this.#renewAll(), renewEveryMs).unref()
    return () => {
      if (!this.#held.delete(held)) return
      this.#stopIfIdle()
      try {
        this.#count(id, -1)
      } catch (error) {
        // A store without room, or closed: the lease ends by its expiry, and what it was for is done.
        if (!(error instanceof RamcacheError)) throw error
      }
    }
  }

  /** False when it has expired. */
  renew(id: string): boolean {
    return this.#space.touch(keyOf(id), leaseMs)
  }

  stands(id: string): boolean {
    return this.#space.peek(keyOf(id)) !== undefined
  }

  /** Destroys every stream that holds one. */
  close(): void {
    const error = new RamcacheError('ERR_RAMCACHE_CLOSED', 'the cache was closed')
    for (const { holder } of [...this.#held]) {
      const stream = holder.deref()
      // An error that nobody listens to would end the process.
      stream?.destroy(stream.listenerCount('error') > 0 ? error : undefined)
    }
    this.#held.clear()
    this.#stopIfIdle()
  }

  #renewAll(): void {
    for (const held of [...this.#held]) {
      try {
        if (held.holder.deref() === undefined) this.#held.delete(held)
        // A reader that comes late may still find all its chunks. A writer's `publish` looks for itself.
        else this.renew(held.id)
      } catch (error) {
        // A store without room; the lease has three more chances.
        if (!(error instanceof RamcacheError)) throw error
      }
    }
    this.#stopIfIdle()
  }

  #stopIfIdle(): void {
    if (this.#held.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /** A holder that died without giving back makes the count too high: then the lease ends by its expiry. */
  #count(id: string, change: 1 | -1): void {
    const key = keyOf(id)
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const found = this.#space.peek(key)
      const count = (found === undefined ? 0 : (found.value as Buffer).readUInt32LE(0)) + change
      if (count < 0) return
      if (found !== undefined && count === 0) {
        if (this.#space.delete(key, found.version)) return
      } else {
        const bytes = Buffer.alloc(4)
        bytes.writeUInt32LE(count)
        if (this.#space.setPinned(key, bytes, found?.version, leaseMs)) return
      }
    }
    throw new RamcacheError('ERR_RAMCACHE_CONFLICT', `a lease was not to be had in ${attemptsMax} attempts`)
  }
}

function keyOf(id: string): string {
  return `${id}+`
}
