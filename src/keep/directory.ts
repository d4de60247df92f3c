/** A directory that is worked on while nobody has it open: it cannot be opened meanwhile. */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { RamcacheError, show } from '../base/errors.ts'
import { configError } from '../config/fields.ts'
import { binding, translate } from '../native/binding.ts'
import { hddDirOf } from '../owner/hdd-mark.ts'

export interface Places {
  readonly dir: string
  readonly ssdDir: string
  /** Undefined without an HDD tier. */
  readonly hddDir: string | undefined
}

export function checkPath(path: unknown, name: string): string {
  if (typeof path === 'string' && path !== '' && !path.includes('\0')) return path
  throw configError(`${name} must be a path, not ${show(path)}`)
}

/** Where the tiers of a directory lie, unless the caller knows better: that of the HDD tier is written down. */
export function placesOf(dir: unknown, ssd: unknown, hdd: unknown): Places {
  const checked = checkPath(dir, 'dir')
  const ssdDir = ssd === undefined ? join(checked, 'ssd') : checkPath(ssd, 'ssd')
  return { dir: checked, ssdDir, hddDir: hdd === undefined ? hddDirOf(ssdDir) : checkPath(hdd, 'hdd') }
}

export function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
}

/** Rejects with ERR_RAMCACHE_UNAVAILABLE when there is no such directory, ERR_RAMCACHE_LOCKED when a process owns it. */
export async function whileLocked<T>(dir: string, work: () => Promise<T>): Promise<T> {
  if (!isDirectory(dir)) throw new RamcacheError('ERR_RAMCACHE_UNAVAILABLE', `there is no directory ${dir}`)
  const lock = lockOf(dir)
  try {
    return await work()
  } finally {
    binding().unlockDirectory(lock)
  }
}

function lockOf(dir: string): ReturnType<ReturnType<typeof binding>['lockDirectory']> {
  try {
    return binding().lockDirectory(dir)
  } catch (error) {
    translate(error)
  }
}
