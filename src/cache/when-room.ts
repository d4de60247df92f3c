/** Writes that wait while the tiers make room on a full disk, in place of being refused. */
import { setTimeout as after } from 'node:timers/promises'
import { RamcacheError } from '../base/errors.ts'
import type { Engine } from '../native/engine.ts'

/** How long until the next try: a drain frees a file of the log in some tens of milliseconds. */
const retryMs = 10
/**
 * Refusals in a row after which it counts that nobody makes room. One may come with a shortage that has just begun, and
 * be asked about after its end: then nobody does, because there is some.
 */
const refusalsMost = 3

export function isFull(error: unknown): boolean {
  return error instanceof RamcacheError && error.code === 'ERR_RAMCACHE_FULL'
}

/** Runs a write again and again as long as it is refused for want of room and the tiers are making some. */
export async function whenRoom<T>(engine: Engine, write: () => T, signal?: AbortSignal): Promise<T> {
  for (let refusals = 0; ; ) {
    try {
      return write()
    } catch (error) {
      if (!isFull(error)) throw error
      refusals = engine.isMakingRoom ? 0 : refusals + 1
      if (refusals === refusalsMost) throw error
      await after(retryMs)
      signal?.throwIfAborted()
    }
  }
}
