/**
 * Restore: a directory that can be opened, from a backup. Everything is checked before anything is written, and nothing
 * is where a store would be found before all of it is there and synced.
 */
import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { RamcacheError } from '../base/errors.ts'
import { freshId } from '../base/prng.ts'
import { checkSignal } from '../config/call-options.ts'
import { checkFields, configError } from '../config/fields.ts'
import { type BackupPart, readManifest } from '../owner/backup-manifest.ts'
import { copyDurably, guard, sumFile, syncDirectory, takeEmptyDirectory } from '../owner/durable-files.ts'
import { markTier } from '../owner/hdd-mark.ts'
import { checkPath, type Places, placesOf } from './directory.ts'

export interface RestoreOptions {
  /** Where the SSD tier goes. Default: `ssd` in the directory. */
  ssd?: string
  /** Where the HDD tier goes, which a backup of a store with one needs: an empty or new directory. */
  hdd?: string
  signal?: AbortSignal
}

export interface RestoreReport {
  readonly path: string
  /** When the backup was made, in milliseconds since 1970. */
  readonly createdAt: number
  readonly entries: number
  readonly files: number
  readonly bytes: number
}

/**
 * Rejects with ERR_RAMCACHE_CONFIG for a target that is not empty, ERR_RAMCACHE_UNAVAILABLE for what is no finished
 * backup, ERR_RAMCACHE_CORRUPT when any byte of it has changed, and ERR_RAMCACHE_FULL.
 */
export async function restore(
  source: string,
  dir: string,
  options: RestoreOptions = {},
): Promise<RestoreReport> {
  checkFields(options, 'restore()', ['ssd', 'hdd', 'signal'])
  const signal = checkSignal(options.signal, 'restore()')
  const goOn = () => signal?.throwIfAborted()
  goOn()
  const from = resolve(checkPath(source, 'the directory of a backup'))
  const ssd = options.ssd === undefined ? undefined : resolve(checkPath(options.ssd, 'ssd'))
  const hdd = options.hdd === undefined ? undefined : resolve(checkPath(options.hdd, 'hdd'))
  const places = placesOf(resolve(checkPath(dir, 'dir')), ssd, hdd)
  const manifest = readManifest(from)
  checkHddAsked(from, manifest.parts, places, hdd)
  for (const part of manifest.parts) await checkPart(from, part, goOn)
  const targets = { ssd: places.ssdDir, hdd }
  for (const target of new Set([places.dir, places.ssdDir, ...(hdd === undefined ? [] : [hdd])])) {
    // Only looked at: it takes the place of an empty one at the end.
    if (existsSync(target)) await takeEmptyDirectory(target, 'the directory to restore to')
  }
  // A store is found where its SSD tier is: that comes last.
  const parts = [...manifest.parts].sort((one, other) => tierOrder[one.part] - tierOrder[other.part])
  for (const [number, part] of parts.entries()) {
    const mark = (made: string) => {
      const other = targets[part.part === 'ssd' ? 'hdd' : 'ssd']
      if (other !== undefined) markTier(part.part, made, join(from, 'hdd', 'store'), other)
    }
    try {
      await restorePart(from, part, targets[part.part] as string, mark, goOn)
    } catch (error) {
      for (const done of parts.slice(0, number)) {
        await rm(targets[done.part] as string, { recursive: true, force: true })
      }
      throw error
    }
  }
  await guard(`make ${places.dir}`, () => mkdir(places.dir, { recursive: true }))
  await syncDirectory(dirname(places.dir))
  const files = manifest.parts.flatMap((part) => part.files)
  return {
    path: places.dir,
    createdAt: manifest.createdAt,
    entries: manifest.parts.reduce((sum, { entries }) => sum + entries, 0),
    files: files.length,
    bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
  }
}

async function checkPart(from: string, { part, files }: BackupPart, goOn: () => void): Promise<void> {
  for (const { path, bytes, sha256 } of files) {
    const file = join(from, part, path)
    if (!existsSync(file)) throw changed(file, 'is not there')
    const found = await sumFile(file, goOn)
    if (found.bytes !== bytes) throw changed(file, `has ${found.bytes} bytes, not ${bytes}`)
    if (found.sha256 !== sha256) throw changed(file, 'has another checksum')
  }
}

function changed(file: string, what: string): RamcacheError {
  return new RamcacheError(
    'ERR_RAMCACHE_CORRUPT',
    `the backup is not what it was: ${file} ${what}; nothing was restored`,
  )
}

const tierOrder = { hdd: 0, ssd: 1 }

function checkHddAsked(
  from: string,
  parts: readonly BackupPart[],
  { dir, ssdDir }: Places,
  hdd: string | undefined,
): void {
  if (hdd === dir || hdd === ssdDir) throw configError(`hdd must be a directory of its own, not ${hdd}`)
  const hasHdd = parts.some(({ part }) => part === 'hdd')
  if (hasHdd && hdd === undefined) {
    throw configError(`the backup in ${from} is of a store with an HDD tier: hdd must say where that goes`)
  }
  if (!hasHdd && hdd !== undefined) {
    throw configError(`the backup in ${from} is of a store without an HDD tier, and hdd is ${hdd}`)
  }
}

/** Beside its place first, then there at once. `mark` says of what was made there which store it is of. */
async function restorePart(
  from: string,
  part: BackupPart,
  target: string,
  mark: (made: string) => void,
  goOn: () => void,
): Promise<void> {
  const parent = dirname(target)
  const made = join(parent, `.restoring-${freshId().slice(0, 8)}`)
  try {
    await guard(`make ${made}`, () => mkdir(made, { recursive: true }))
    const directories = new Set([made])
    for (const { path, sha256 } of part.files) {
      const file = join(made, path)
      await guard(`make ${dirname(file)}`, () => mkdir(dirname(file), { recursive: true }))
      directories.add(dirname(file))
      const copied = await copyDurably(join(from, part.part, path), file, undefined, goOn)
      if (copied.sha256 !== sha256) throw changed(file, 'came out another one')
    }
    mark(made)
    for (const directory of directories) await syncDirectory(directory)
    // Takes the place of an empty directory, and of nothing else.
    await guard(`move ${made} to ${target}`, () => rename(made, target))
    await syncDirectory(parent)
  } catch (error) {
    await rm(made, { recursive: true, force: true })
    throw error
  }
}
