/**
 * A copy of what a store has on disk, made while it is written to. Consistent because of its order: nothing is
 * moved or removed meanwhile (`drain-hold.ts`); the index is copied as some commit left it; after that a checkpoint says
 * how far the log is whole and synced, and that far it is copied. So each row of the copied index leads into the copied
 * log, and a store opened from it reads on from where that index ends.
 */
import { rmSync } from 'node:fs'
import { mkdir, open, readdir, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { systemClock } from '../base/clock.ts'
import { version } from '../base/version.ts'
import {
  type BackupFile,
  type BackupPart,
  backupVersion,
  manifestName,
  packManifest,
} from './backup-manifest.ts'
import { copyDurably, guard, sealFile, syncDirectory, takeEmptyDirectory } from './durable-files.ts'
import type { HddLink } from './hdd-link.ts'
import type { Keeper } from './keeper.ts'

export interface BackupReport {
  readonly path: string
  /** Milliseconds since 1970. */
  readonly createdAt: number
  /** At least all that was written before the backup began is in it. */
  readonly entries: number
  readonly files: number
  readonly bytes: number
}

/** `goOn` throws when it is to be given up. What was made until then is removed. */
export async function backupStore(keeper: Keeper, target: string, goOn: () => void): Promise<BackupReport> {
  const isNew = await takeEmptyDirectory(target, 'the directory of a backup')
  try {
    // A lower tier first: what has been deleted or cleared since is in the log, which is copied to its end after that.
    const parts: BackupPart[] = []
    const { hdd, hddDir } = keeper
    if (hdd !== undefined && hddDir !== undefined) {
      parts.push(await copyHdd(hdd, hddDir, join(target, 'hdd'), goOn))
    }
    parts.push(await copySsd(keeper, join(target, 'ssd'), goOn))
    const createdAt = systemClock.nowMs()
    await syncDirectory(target)
    await writeManifest(target, packManifest({ ramcacheBackup: backupVersion, version, createdAt, parts }))
    const files = parts.flatMap((part) => part.files)
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0)
    const entries = parts.reduce((sum, part) => sum + part.entries, 0)
    return { path: target, createdAt, entries, files: files.length, bytes }
  } catch (error) {
    await removeAll(target, isNew)
    throw error
  }
}

async function removeAll(target: string, isNew: boolean): Promise<void> {
  const paths = isNew ? [target] : (await readdir(target)).map((name) => join(target, name))
  // Why the backup failed matters more than that a part of it could not be removed; without a manifest it is none.
  for (const path of paths) rmSync(path, { recursive: true, force: true })
}

async function copySsd(
  { index, ssdDir, checkpoint }: Keeper,
  target: string,
  goOn: () => void,
): Promise<BackupPart> {
  await guard(`make ${target}`, async () => {
    await mkdir(join(target, 'log'), { recursive: true })
    await mkdir(join(target, 'index'))
  })
  goOn()
  await checkpoint()
  const copy = join(target, 'index', 'index.mdb')
  await index.copyTo(copy)
  await checkpoint()
  const position = index.position()
  const { entries } = index.count()
  const files: BackupFile[] = [{ path: 'index/index.mdb', ...(await sealFile(copy, undefined, goOn)) }]
  for (const name of await logFilesUpTo(join(ssdDir, 'log'), position.file)) {
    const isLast = Number.parseInt(name, 16) === position.file
    const to = join(target, 'log', name)
    const summed = await copyDurably(
      join(ssdDir, 'log', name),
      to,
      isLast ? position.offset : undefined,
      goOn,
    )
    files.push({ path: `log/${name}`, ...summed })
  }
  // After the log: every namespace that a record of it names is in there.
  files.push({
    path: 'names',
    ...(await copyDurably(join(ssdDir, 'names'), join(target, 'names'), undefined, goOn)),
  })
  for (const path of [join(target, 'log'), join(target, 'index'), target]) await syncDirectory(path)
  return { part: 'ssd', position, entries, files }
}

/** LevelDB has no copies of a moment: all of it goes into a database that is made for it. */
async function copyHdd(hdd: HddLink, hddDir: string, target: string, goOn: () => void): Promise<BackupPart> {
  const level = join(target, 'level')
  await guard(`make ${level}`, () => mkdir(level, { recursive: true }))
  const entries = await hdd.copyTo(level, goOn)
  const files: BackupFile[] = []
  for (const name of (await guard(`list ${level}`, () => readdir(level))).sort()) {
    const path = join(level, name)
    // What LevelDB tells people, and its lock.
    if (/^LO(CK|G(\.old)?)$/.test(name)) rmSync(path)
    else files.push({ path: `level/${name}`, ...(await sealFile(path, undefined, goOn)) })
  }
  const mark = join(target, 'store')
  files.push({ path: 'store', ...(await copyDurably(join(hddDir, 'store'), mark, undefined, goOn)) })
  for (const path of [level, target]) await syncDirectory(path)
  return { part: 'hdd', entries, files }
}

async function logFilesUpTo(dir: string, last: number): Promise<string[]> {
  const names = await guard(`list ${dir}`, () => readdir(dir))
  return names.filter((name) => /^[0-9a-f]{8}\.log$/.test(name) && Number.parseInt(name, 16) <= last).sort()
}

async function writeManifest(target: string, text: string): Promise<void> {
  const path = join(target, manifestName)
  await guard(`write ${path}`, async () => {
    const file = await open(`${path}.new`, 'wx')
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(`${path}.new`, path)
  })
  await syncDirectory(target)
  await syncDirectory(dirname(target))
}
