/** Every entry of the HDD tier against what it says of itself, and the tier against the store it is of. Reads only. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { binding } from '../native/binding.ts'
import { HddTier } from '../tiers/hdd.ts'
import { headBytes, isValueSound, readHead } from '../tiers/hdd-value.ts'
import { storedKey } from '../tiers/index-row.ts'
import { hddMarkProblem } from './hdd-mark.ts'
import type { Problems } from './problems.ts'

const pageEntries = 256

const noBytes = Buffer.alloc(0)

export interface HddPageCheck {
  readonly entries: number
  /** Of keys and records. */
  readonly bytes: number
  readonly faults: readonly string[]
  readonly next: Buffer | undefined
}

/** What a tier is looked at through: here, or in the thread that has it open. */
export interface HddChecker {
  readonly path: string
  page(names: number, from: Buffer | undefined): Promise<HddPageCheck>
  /** Of a tier that nobody changes meanwhile: what it says it has. */
  counts?(): Promise<{ entries: number; bytes: number }>
}

/** One page; `names` is how many namespaces have a name. */
export async function checkHddPage(
  tier: HddTier,
  names: number,
  from: Buffer | undefined,
): Promise<HddPageCheck> {
  const { read, next } = await tier.scanValues(noBytes, from, pageEntries)
  const faults: string[] = []
  let bytes = 0
  for (const [key, value] of read) {
    bytes += key.length + Math.max(0, value.length - headBytes)
    const fault = faultOf(key, value, names)
    if (fault !== '') {
      const shown = JSON.stringify(key.toString('utf8', 2, 62))
      faults.push(`the key ${shown} of namespace ${key.readUInt16BE()}: ${fault}`)
    }
  }
  return { entries: read.length, bytes, faults, next }
}

function faultOf(key: Buffer, value: Buffer, names: number): string {
  if (key.readUInt16BE() >= names) return `its namespace has no name: there are ${names}`
  if (!isValueSound(key, value)) return 'its entry is damaged'
  const found = binding().readStored(value.subarray(headBytes))
  if (found === null) return 'what lies there is no record'
  if (!storedKey(found.key).equals(key)) return 'a record of another key lies there'
  const { version, expiresAt } = readHead(value)
  if (version !== found.version) return `its entry has version ${version}, the record has ${found.version}`
  return expiresAt === found.expiresAt
    ? ''
    : `its entry expires at ${expiresAt}, the record at ${found.expiresAt}`
}

/** The number of its entries; undefined when it cannot be read at all. */
export async function checkHdd(
  checker: HddChecker,
  names: number,
  goOn: () => void,
  problems: Problems,
): Promise<number | undefined> {
  let entries = 0
  let bytes = 0
  try {
    for (let from: Buffer | undefined; ; ) {
      goOn()
      const page = await checker.page(names, from)
      entries += page.entries
      bytes += page.bytes
      for (const fault of page.faults) problems.add('hdd', fault)
      from = page.next
      if (from === undefined) break
    }
    const counts = await checker.counts?.()
    if (counts !== undefined && (counts.entries !== entries || counts.bytes !== bytes)) {
      problems.add(
        'hdd',
        `the tier ${checker.path} has ${entries} entries of ${bytes} bytes, and says ${counts.entries} of ${counts.bytes}`,
      )
    }
    return entries
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    if (code !== 'ERR_RAMCACHE_CORRUPT' && code !== 'ERR_RAMCACHE_CONFIG') throw error
    problems.add('hdd', message)
    return undefined
  }
}

/** The same of a tier that nobody has open; it is opened for it, which LevelDB writes its journal for. */
export async function checkClosedHdd(
  ssdDir: string,
  hddDir: string,
  names: number,
  goOn: () => void,
  problems: Problems,
): Promise<number | undefined> {
  const why = hddMarkProblem(ssdDir, hddDir)
  const path = join(hddDir, 'level')
  if (why !== undefined) problems.add('hdd', why)
  else if (!existsSync(join(path, 'CURRENT'))) {
    // It is made when it is first opened, which may be after the mark.
    if (existsSync(path)) problems.add('hdd', `${path} is no LevelDB database: its file CURRENT is gone`)
    else problems.add('hdd', `the HDD tier in ${hddDir} has no directory ${path}`)
  }
  if (why !== undefined || !existsSync(join(path, 'CURRENT'))) return undefined
  const tier = new HddTier(path)
  const checker: HddChecker = {
    path,
    page: async (count, from) => {
      await tier.open()
      return checkHddPage(tier, count, from)
    },
    counts: () => tier.stats(),
  }
  try {
    return await checkHdd(checker, names, goOn, problems)
  } finally {
    await tier.close()
  }
}
