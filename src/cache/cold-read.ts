/** Reads that RAM could not answer, for those who listen to them. */
import { systemClock } from '../base/clock.ts'
import { type Events, hasListeners, publish } from '../observe/events.ts'
import type { Key } from './types.ts'

const channel = 'ramcache:read:cold'

/** The same promise; who listens hears what becomes of it. */
export function coldRead<T>(
  namespace: string,
  method: Events[typeof channel]['method'],
  key: Key,
  read: Promise<T>,
): Promise<T> {
  if (!hasListeners(channel)) return read
  // Bytes may be used for something else meanwhile.
  const own = typeof key === 'string' ? key : Uint8Array.from(key)
  const startUs = systemClock.monotonicUs()
  const tell = (isHit: boolean, error: unknown) => {
    const ms = (systemClock.monotonicUs() - startUs) / 1000
    publish(channel, () => ({ namespace, key: own, method, isHit, ms, error }))
  }
  read.then(
    (found) => tell(found !== undefined && found !== false, undefined),
    (error) => tell(false, error),
  )
  return read
}
