/** Verify: everything a store has on disk is read and checked. The checks are in `owner/verify.ts`. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { RamcacheError } from '../base/errors.ts'
import type { Cache } from '../cache/types.ts'
import { checkSignal } from '../config/call-options.ts'
import { checkFields, configError } from '../config/fields.ts'
import { runJob } from '../owner/jobs.ts'
import type { Problem } from '../owner/problems.ts'
import { type VerifyReport, verifyStore } from '../owner/verify.ts'
import { LogIndex } from '../tiers/log-index.ts'
import { isDirectory, type Places, placesOf, whileLocked } from './directory.ts'
import { storeOf } from './store-of.ts'

export type { VerifyReport } from '../owner/verify.ts'

export interface VerifyOptions {
  /** Of a directory: where its SSD tier lies. Default: `ssd` in it. */
  ssd?: string
  /** Of a directory: where its HDD tier lies, if it has one. Default: where it was last. */
  hdd?: string
  signal?: AbortSignal
}

/**
 * Checks the store that this process has open, beside its use, or a directory that nobody has open. Resolves to what it
 * found, problems included; rejects with ERR_RAMCACHE_LOCKED for a directory that a process owns, with
 * ERR_RAMCACHE_UNAVAILABLE when there is no store in it, and with ERR_RAMCACHE_CORRUPT for a log of a newer format.
 */
export async function verify(store: Cache | string, options: VerifyOptions = {}): Promise<VerifyReport> {
  checkFields(options, 'verify()', ['ssd', 'hdd', 'signal'])
  const signal = checkSignal(options.signal, 'verify()')
  signal?.throwIfAborted()
  if (typeof store === 'string') {
    const places = placesOf(store, options.ssd, options.hdd)
    return whileLocked(places.dir, () => verifyLocked(places, signal))
  }
  for (const name of ['ssd', 'hdd'] as const) {
    if (options[name] === undefined) continue
    throw configError(`${name} is for a directory, not for a cache that is open`)
  }
  const { home } = storeOf(store, 'verify()')
  if (home.ssdDir === undefined) {
    throw configError('this store is in RAM only and has nothing on disk to verify')
  }
  return runJob(home.dir, 'verify', {}, signal)
}

/** Of a directory that is locked. */
export async function verifyLocked(
  { dir, ssdDir, hddDir }: Places,
  signal: AbortSignal | undefined,
): Promise<VerifyReport> {
  if (!isDirectory(join(ssdDir, 'log'))) {
    throw new RamcacheError('ERR_RAMCACHE_UNAVAILABLE', `there is no SSD tier of ${dir} in ${ssdDir}`)
  }
  const goOn = () => signal?.throwIfAborted()
  const { index, problems } = await openIndex(join(ssdDir, 'index'))
  try {
    return await verifyStore({ ssdDir, hddDir, index, problems }, goOn)
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
