/**
 * What a process that has joined another one does when that one is gone: it tries to own the store itself, and otherwise
 * looks for whoever does.
 *
 * The lock of the directory alone decides, never time: an owner that is stopped or slow holds it, and one that has
 * exited or was killed does not. Of all processes that try, the kernel gives it to one; the others find that one's socket
 * in the `owner` file. A thread of the process that has it shares the store.
 */
import { RamcacheError } from '../base/errors.ts'
import { isOwned, ownerOf } from '../native/open.ts'

/**
 * Path of the socket of whoever owns a directory. Throws ERR_RAMCACHE_LOCKED when that one lets nobody join,
 * ERR_RAMCACHE_UNAVAILABLE as long as there is nobody to be reached.
 */
export function socketOf(dir: string): string {
  const { pid, socket } = ownerOf(dir)
  const who = `directory ${dir} is owned by process ${pid}, which`
  if (socket === undefined) throw new RamcacheError('ERR_RAMCACHE_UNAVAILABLE', `${who} does not listen yet`)
  if (socket !== '') return socket
  throw new RamcacheError('ERR_RAMCACHE_LOCKED', `${who} lets nobody join (listen: false)`)
}

/** Whether it is worth trying to own a directory: nobody does, or another thread of this process. */
export function isWithoutOwner(dir: string): boolean {
  if (!isOwned(dir)) return true
  try {
    return ownerOf(dir).pid === process.pid
  } catch {
    // Somebody has just taken it and not said so yet.
    return false
  }
}
