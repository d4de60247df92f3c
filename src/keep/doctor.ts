/**
 * Doctor: what is wrong with the directory of a store, what that means and what to do. With `recover` it does what is
 * safe, and says each thing it has done: nothing that was acknowledged is lost by it without a word.
 *
 * What is safe: to open the store and close it again (which takes over what a dead owner has left, drops a torn end of
 * the log and brings the index up to the log), to make a damaged index anew from a log that is whole, and to remove
 * shared memory that nothing is in.
 */
import { existsSync, renameSync, rmSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { RamcacheError } from '../base/errors.ts'
import { open } from '../cache/open.ts'
import { checkSignal } from '../config/call-options.ts'
import { checkFields, configError } from '../config/fields.ts'
import { arenaLeftIn } from './arena-files.ts'
import { type Places, placesOf, whileLocked } from './directory.ts'
import { examine, examineOwned, type Finding } from './examine.ts'

export type { Finding } from './examine.ts'

export interface DoctorOptions {
  /** Where the SSD tier lies. Default: `ssd` in the directory. */
  ssd?: string
  /** Where the HDD tier lies, if it has one. Default: where it was last. */
  hdd?: string
  /** Do what is safe to mend it. */
  recover?: boolean
  signal?: AbortSignal
}

export interface DoctorReport {
  readonly path: string
  /** No finding is a problem. */
  readonly isHealthy: boolean
  /** The process that has it open. */
  readonly ownerPid: number | undefined
  /** As it is now, after what was done. */
  readonly findings: readonly Finding[]
  /** What `recover` has done, in order. */
  readonly done: readonly string[]
}

/**
 * Rejects with ERR_RAMCACHE_UNAVAILABLE when there is no such directory, and with ERR_RAMCACHE_LOCKED when it is to be
 * mended and a process owns it.
 */
export async function doctor(dir: string, options: DoctorOptions = {}): Promise<DoctorReport> {
  checkFields(options, 'doctor()', ['ssd', 'hdd', 'recover', 'signal'])
  const signal = checkSignal(options.signal, 'doctor()')
  const { recover = false } = options
  if (typeof recover !== 'boolean') throw configError('recover must be true or false')
  signal?.throwIfAborted()
  const places = placesOf(dir, options.ssd, options.hdd)
  const done: string[] = []
  try {
    if (recover) await mend(places, done, signal)
    const findings = await whileLocked(places.dir, () => examine(places, signal))
    return reportOf(places, undefined, findings, done)
  } catch (error) {
    if (recover || !(error instanceof RamcacheError) || error.code !== 'ERR_RAMCACHE_LOCKED') throw error
    const { ownerPid, findings } = examineOwned(places)
    return reportOf(places, ownerPid, findings, done)
  }
}

function reportOf(
  { dir }: Places,
  ownerPid: number | undefined,
  findings: readonly Finding[],
  done: readonly string[],
): DoctorReport {
  const isHealthy = findings.every(({ level }) => level !== 'problem')
  return { path: dir, isHealthy, ownerPid, findings, done }
}

/** Findings that opening the store and closing it mends. */
const mendedByOpening = new Set(['dead-owner', 'torn-log', 'index-behind', 'missing-index', 'no-reserve'])
/** With one of these nothing is touched. */
const forbidding = new Set(['newer-format', 'damaged-names', 'arena-refused', 'foreign-hdd'])

async function mend(places: Places, done: string[], signal: AbortSignal | undefined): Promise<void> {
  const needsOpening = await whileLocked(places.dir, async () => {
    const findings = await examine(places, signal)
    const codes = new Set(findings.map(({ code }) => code))
    removeClosedArenas(findings, done)
    removeEmptyOwnerFile(places, codes, done)
    if ([...codes].some((code) => forbidding.has(code))) return false
    const isRebuilt = codes.has('damaged-index') && !codes.has('damaged-log')
    if (isRebuilt) putIndexAside(places, done)
    return isRebuilt || [...codes].some((code) => mendedByOpening.has(code))
  })
  if (needsOpening) await openAndClose(places, done)
}

function removeClosedArenas(findings: readonly Finding[], done: string[]): void {
  for (const { code, files = [] } of findings) {
    if (code !== 'closed-arena') continue
    for (const path of files) rmSync(path, { force: true })
    done.push(`removed ${files.join(', ')}, which nothing was in`)
  }
}

function removeEmptyOwnerFile({ dir }: Places, codes: ReadonlySet<string>, done: string[]): void {
  if (!codes.has('empty-owner-file')) return
  unlinkSync(join(dir, 'owner'))
  done.push(`removed ${join(dir, 'owner')}, which led to memory that is gone`)
}

/** Not removed: whoever wants to know how it came about may look at it. */
function putIndexAside({ ssdDir }: Places, done: string[]): void {
  const aside = join(ssdDir, 'index.damaged')
  rmSync(aside, { recursive: true, force: true })
  renameSync(join(ssdDir, 'index'), aside)
  done.push(`moved the damaged index to ${aside}, which may be removed`)
}

async function openAndClose({ dir, ssdDir, hddDir }: Places, done: string[]): Promise<void> {
  const hadIndex = existsSync(join(ssdDir, 'index', 'index.mdb'))
  const left = arenaLeftIn(dir)?.superblock
  const warnings: string[] = []
  const listen = (warning: Error) => {
    if (warning.name === 'RamcacheWarning') warnings.push(warning.message)
  }
  process.on('warning', listen)
  try {
    // With another budget the arena might be refused, and what is only there would be lost.
    const memory = left?.budgetBytes ?? 'auto'
    const tiers = { ssd: { path: ssdDir }, ...(hddDir === undefined ? {} : { hdd: { path: hddDir } }) }
    const cache = await open({ dir, memory, tiers })
    // A scan of everything begins with a checkpoint.
    for await (const _ of cache.scan({ limit: 1 }));
    await cache.close()
  } finally {
    process.off('warning', listen)
  }
  const taken = left === undefined ? '' : `took over the memory that process ${left.ownerPid} had left, `
  const made = hadIndex ? 'brought the index up to the log' : 'made the index anew from the log'
  done.push(`opened the store, ${taken}${made} and closed it: all of it is on disk`)
  for (const warning of warnings) done.push(`the store said: ${warning}`)
}
