/** Backup: a physical copy of what a store has on disk, while it is used. The work is done in `owner/backup.ts`. */
import { resolve } from 'node:path'
import type { Cache } from '../cache/types.ts'
import { checkSignal } from '../config/call-options.ts'
import { checkFields, configError } from '../config/fields.ts'
import type { BackupReport } from '../owner/backup.ts'
import { runJob } from '../owner/jobs.ts'
import { checkPath } from './directory.ts'
import { storeOf } from './store-of.ts'

export type { BackupReport } from '../owner/backup.ts'

export interface BackupOptions {
  /** Gives it up; what was copied is removed. */
  signal?: AbortSignal
}

/**
 * Copies the store to `target`, a directory that is empty or new. All that was written before the call is in it, of what
 * is written meanwhile perhaps a part. Resolves when all of it is synced.
 *
 * Rejects with ERR_RAMCACHE_CONFIG for a target that is not empty and a store without an SSD tier, with
 * ERR_RAMCACHE_FULL when the target's disk is, and with what the store's own disk failed with.
 */
export async function backup(
  cache: Cache,
  target: string,
  options: BackupOptions = {},
): Promise<BackupReport> {
  checkFields(options, 'backup()', ['signal'])
  const signal = checkSignal(options.signal, 'backup()')
  const { home } = storeOf(cache, 'backup()')
  const path = resolve(checkPath(target, 'the directory of a backup'))
  signal?.throwIfAborted()
  if (home.ssdDir === undefined) {
    throw configError('this store is in RAM only and has no files to copy: use exportEntries()')
  }
  return runJob(home.dir, 'backup', { target: path }, signal)
}
