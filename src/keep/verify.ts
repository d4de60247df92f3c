/** Verify: everything a store has on disk is read and checked. The checks are in `owner/verify.ts`. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { RamcacheError } from '../base/errors.ts'
import type { Cache } from '../cache/types.ts'
import { checkSignal } from '../config/call-options.ts'
import { checkFields, configError } from '../config/fields.ts'
import { runJob } from '../owner/jobs.ts'
import type { Problem } from '../owner/problems.ts'
import { type VerifyReport, verifySsd } from '../owner/verify.ts'
import { LogIndex } from '../tiers/log-index.ts'
import { isDirectory, type Places, placesOf, whileLocked } from './directory.ts'
import { storeOf } from './store-of.ts'

export type { VerifyReport } from '../owner/verify.ts'

export interface VerifyOptions {
  /** Of a directory: where its SSD tier lies. Default: `ssd` in it. */
  ssd?: string
  signal?: AbortSignal
}

/**
 * Checks the store that this process has open, beside its use, or a directory that nobody has open. Resolves to what it
 * found, problems included; rejects with ERR_RAMCACHE_LOCKED for a directory that a process owns, with
 * ERR_RAMCACHE_UNAVAILABLE when there is no store in it, and with ERR_RAMCACHE_CORRUPT for a log of a newer format.
 */
export async function verify(store: Cache | string, options: VerifyOptions = {}): Promise<VerifyReport> {
  checkFields(options, 'verify()', ['ssd', 'signal'])
  const signal = checkSignal(options.signal, 'verify()')
  signal?.throwIfAborted()
  if (typeof store === 'string') {
    const places = placesOf(store, options.ssd)
    return whileLocked(places.dir, () => verifyLocked(places, signal))
  }
  if (options.ssd !== undefined) throw configError('ssd is for a directory, not for a cache that is open')
  const { home } = storeOf(store, 'verify()')
  if (home.ssdDir === undefined) {
    throw configError('this store is in RAM only and has nothing on disk to verify')
  }
  return runJob(home.dir, 'verify', {}, signal)
}

/** Of a directory that is locked. */
export async function verifyLocked(
  { dir, ssdDir }: Places,
  signal: AbortSignal | undefined,
): Promise<VerifyReport> {
  if (!isDirectory(join(ssdDir, 'log'))) {
    throw new RamcacheError('ERR_RAMCACHE_UNAVAILABLE', `there is no SSD tier of ${dir} in ${ssdDir}`)
  }
  const goOn = () => signal?.throwIfAborted()
  const { index, problems } = await openIndex(join(ssdDir, 'index'))
  try {
    return await verifySsd({ ssdDir, index, problems }, goOn)
  } finally {
    await index?.close()
  }
}

/** Only after all its pages have been looked at: LMDB follows a damaged one wherever it leads. */
async function openIndex(dir: string): Promise<{ index: LogIndex | undefined; problems: Problem[] }> {
  if (!existsSync(join(dir, 'index.mdb'))) return { index: undefined, problems: [] }
  try {
    return { index: await LogIndex.open(dir, { isReader: true, verify: true }), problems: [] }
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    if (code !== 'ERR_RAMCACHE_CORRUPT' && code !== 'ERR_RAMCACHE_CONFIG') throw error
    return { index: undefined, problems: [{ part: 'index', message }] }
  }
}
