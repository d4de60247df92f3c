/** `wincache_lock` and `wincache_unlock`: exclusion by name among processes. */
import { RamcacheError } from '../base/errors.ts'
import { keyOf, warn } from './arguments.ts'
import { attempt } from './attempt.ts'
import type { LockAnswer } from './locks.ts'
import { thread } from './thread.ts'

/** As of the names of the system that they were. */
const lockKeyBytesMax = 150

/** That of the process, so that what is left of a pool when its parent has died stays one. */
const parentId = process.ppid

/**
 * Waits until nobody else has the lock, and takes it; `false` when this thread has it already, or after `lockWait`. Of all
 * processes of the store when `isglobal`, else of those with the same parent.
 *
 * Throws ERR_RAMCACHE_KEY for a key of more than 150 bytes.
 */
export function wincache_lock(key: unknown, isglobal: unknown = false): boolean {
  const name = 'wincache_lock'
  const own = lockKeyOf(name, key)
  if (own === undefined) return false
  const scope = isglobal ? 'global' : `pool ${parentId}`
  const answer = attempt<LockAnswer | 'failed'>(
    name,
    () => thread().call('lock', own, `${scope}:${own}`),
    'failed',
  )
  if (answer === 'timed out') {
    return warn(name, `somebody else has held a lock for ${thread().options.lockWaitMs} ms`)
  }
  return answer === 'locked'
}

/** Lets the lock go; `false` when this thread does not hold it, or has lost it. */
export function wincache_unlock(key: unknown): boolean {
  const name = 'wincache_unlock'
  const own = lockKeyOf(name, key)
  return own !== undefined && attempt(name, () => thread().call('unlock', own), false)
}

function lockKeyOf(name: string, key: unknown): string | undefined {
  const own = keyOf(name, key)
  // One that no key of the store may be is too long for a lock as well.
  const text = own ?? (typeof key === 'string' ? (key.split('\0', 1)[0] as string) : '')
  const bytes = Buffer.byteLength(text)
  if (bytes <= lockKeyBytesMax) return own
  const message = `the key of a lock is ${bytes} bytes long, above the maximum of ${lockKeyBytesMax} bytes`
  throw new RamcacheError('ERR_RAMCACHE_KEY', message)
}
