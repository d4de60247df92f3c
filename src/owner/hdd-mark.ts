/**
 * What says that an HDD tier belongs to a store. Without its HDD tier a store would give older answers, or bring deleted
 * entries back when it has it again; with another store's it would give that one's. So both sides carry a mark with the
 * id of the store, `<ssd>/hdd-tier` and `<hdd>/store`, and a store is only opened with all of its tiers.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { RamcacheError } from '../base/errors.ts'

const formatVersion = 1

/** Checks the marks, and makes them for an HDD tier that is new. `hddDir` is undefined when none is asked for. */
export function checkHddMarks(ssdDir: string, hddDir: string | undefined, storeId: string): void {
  const ours = join(ssdDir, 'hdd-tier')
  const isExpected = existsSync(ours)
  if (hddDir === undefined) {
    if (!isExpected) return
    throw refused(
      `the store in ${ssdDir} has entries in an HDD tier, last at ${readMark(ours).path}; open it with tiers.hdd`,
    )
  }
  const theirs = join(hddDir, 'store')
  if (existsSync(theirs)) {
    const { id } = readMark(theirs)
    if (id !== storeId) {
      throw refused(`the HDD tier in ${hddDir} belongs to the store ${id}, not to ${storeId} in ${ssdDir}`)
    }
  } else if (isExpected) {
    throw refused(
      `${hddDir} has no HDD tier, but the store in ${ssdDir} has entries in one, last at ${readMark(ours).path}: is its disk mounted?`,
    )
  } else {
    mkdirSync(hddDir, { recursive: true })
    const [found] = readdirSync(hddDir)
    if (found !== undefined && found !== 'lost+found') {
      throw refused(`${hddDir} is not empty: it has ${found}, and is to be the directory of an HDD tier`)
    }
    writeMark(theirs, { id: storeId, path: ssdDir })
  }
  if (!isExpected || readMark(ours).path !== hddDir) writeMark(ours, { id: storeId, path: hddDir })
}

/** Where the HDD tier of a store was last; undefined when it has none. */
export function hddDirOf(ssdDir: string): string | undefined {
  const ours = join(ssdDir, 'hdd-tier')
  return existsSync(ours) ? readMark(ours).path : undefined
}

/** Why a store is not one with an HDD tier, if so; of a store that nobody has open. */
export function hddMarkProblem(ssdDir: string, hddDir: string): string | undefined {
  const theirs = join(hddDir, 'store')
  if (!existsSync(theirs)) return `${hddDir} has no HDD tier, but the store in ${ssdDir} has entries in one`
  try {
    const [expected, found] = [readMark(join(ssdDir, 'hdd-tier')), readMark(theirs)]
    if (expected.id === found.id) return undefined
    return `the HDD tier in ${hddDir} belongs to the store ${found.id}, not to ${expected.id} in ${ssdDir}`
  } catch (error) {
    if (error instanceof RamcacheError) return error.message
    throw error
  }
}

/** Marks a tier that is being made in `made` as one of the store that the mark `like` names; the other tier is in `path`. */
export function markTier(tier: 'ssd' | 'hdd', made: string, like: string, path: string): void {
  writeMark(join(made, tier === 'ssd' ? 'hdd-tier' : 'store'), { id: readMark(like).id, path })
}

interface Mark {
  readonly id: string
  /** Where the other side was last. */
  readonly path: string
}

function readMark(file: string): Mark {
  const [magic, version, id, path] = readFileSync(file, 'utf8').split('\n')
  if (magic !== 'ramcache tier mark' || id === undefined || path === undefined) {
    throw new RamcacheError('ERR_RAMCACHE_CORRUPT', `${file} is no mark of a tier`)
  }
  if (version !== `version ${formatVersion}`) {
    throw refused(`${file} has ${version}, this version of ramcache reads version ${formatVersion}`)
  }
  return { id, path }
}

/** Replaced whole and synced. */
function writeMark(file: string, { id, path }: Mark): void {
  const fresh = `${file}.new`
  const descriptor = openSync(fresh, 'w')
  try {
    writeSync(descriptor, `ramcache tier mark\nversion ${formatVersion}\n${id}\n${path}\n`)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
  renameSync(fresh, file)
  const dir = openSync(join(file, '..'), 'r')
  try {
    fsyncSync(dir)
  } finally {
    closeSync(dir)
  }
}

function refused(message: string): RamcacheError {
  return new RamcacheError('ERR_RAMCACHE_CONFIG', message)
}
