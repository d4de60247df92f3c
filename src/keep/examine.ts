/** What the doctor looks at. Changes nothing. */
import { existsSync, readdirSync, statfsSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { binding } from '../native/binding.ts'
import { hddMarkProblem } from '../owner/hdd-mark.ts'
import type { VerifyReport } from '../owner/verify.ts'
import {
  type ArenaFile,
  allArenas,
  arenaLeftIn,
  readOwnerFile,
  sharedMemoryDir,
  startOf,
} from './arena-files.ts'
import { isDirectory, type Places } from './directory.ts'
import { verifyLocked } from './verify.ts'

export interface Finding {
  /** Stable, for programs. */
  readonly code: string
  readonly level: 'problem' | 'notice'
  readonly message: string
  /** What to do. */
  readonly advice?: string
  readonly files?: readonly string[]
}

/** Two files of the log: with less than this new writes are soon refused. */
const freeBytesMin = 128 * 1024 * 1024

/** A directory that another process has open: only what can be seen from outside. */
export function examineOwned(places: Places): { ownerPid: number | undefined; findings: Finding[] } {
  const ownerPid = readOwnerFile(places.dir)?.pid
  const findings: Finding[] = [
    {
      code: 'owned',
      level: 'notice',
      message: `process ${ownerPid ?? 'unknown'} has this directory open`,
      advice:
        'what is on disk is checked by verify() in that process, or when it has closed the store; whether its writes are refused (poisoned) flush() says there',
    },
  ]
  if (ownerPid !== undefined && startOf(ownerPid)?.state === 'T') {
    findings.push({
      code: 'stopped-owner',
      level: 'problem',
      message: `process ${ownerPid}, which has this directory open, is stopped`,
      advice: `let it go on (kill -CONT ${ownerPid}) or end it; nobody else gets the directory until then`,
    })
  }
  findings.push(...arenas(undefined), ...space(places))
  return { ownerPid, findings }
}

/** A directory that is locked by the caller. */
export async function examine(places: Places, signal: AbortSignal | undefined): Promise<Finding[]> {
  const findings = [...owner(places), ...space(places), ...leftovers(places)]
  if (isDirectory(join(places.ssdDir, 'log'))) findings.push(...(await disk(places, signal)))
  else {
    findings.push({
      code: 'no-ssd',
      level: 'notice',
      message: `there is no SSD tier in ${places.ssdDir}: the store was in RAM only, lies elsewhere, or was never opened`,
    })
  }
  return findings
}

function owner({ dir, ssdDir }: Places): Finding[] {
  const found = readOwnerFile(dir)
  const left = arenaLeftIn(dir)
  const findings = arenas(left?.data)
  if (found === undefined) return findings
  if (left === undefined) {
    findings.push({
      code: 'empty-owner-file',
      level: 'notice',
      message: `process ${found.pid} ended without closing the store, and its memory is gone`,
      advice: 'open the store: it begins with what is on disk',
    })
    return findings
  }
  const block = left.superblock
  if (block !== undefined && block.version !== binding().layoutVersion()) {
    findings.push({
      code: 'arena-refused',
      level: 'problem',
      message: `the memory that process ${found.pid} has left, ${left.data}, is of layout ${block.version}, this version of ramcache reads ${binding().layoutVersion()}`,
      advice:
        'open the store once with the version that wrote it and close it: this one would begin without what is there',
    })
    return findings
  }
  const inMb = `${Math.ceil(left.bytes / 2 ** 20)} MiB`
  if (block?.isClosed === true || isDirectory(ssdDir)) {
    findings.push({
      code: 'dead-owner',
      level: 'problem',
      message: `process ${found.pid} ended without closing the store; its memory is there, ${inMb} in ${left.data}`,
      advice: `open the store with memory: ${block?.budgetBytes}, or recover: nothing is lost then`,
      files: [left.data, left.touch],
    })
  } else {
    findings.push({
      code: 'dead-owner-in-ram',
      level: 'problem',
      message: `process ${found.pid} ended without closing the store; all of it is in its memory, ${inMb} in ${left.data}, for there is no SSD tier in ${ssdDir}`,
      advice: `open the store as it was opened, with memory: ${block?.budgetBytes}`,
      files: [left.data, left.touch],
    })
  }
  return findings
}

/** Shared memory of owners that are gone, but for one file: which directory it belongs to is not written in it. */
function arenas(own: string | undefined): Finding[] {
  const left = allArenas().filter(
    ({ data, superblock }) => data !== own && superblock?.isOwnerAlive === false,
  )
  const closed = left.filter(({ superblock }) => superblock?.isClosed === true)
  const full = left.filter(({ superblock }) => superblock?.isClosed === false)
  return [
    ...strays(closed, 'closed-arena', 'nothing is in it', 'recover removes it'),
    ...strays(
      full,
      'stray-arena',
      'it belongs to other directories',
      'whoever opens the directory whose file `owner` names it takes it over; of a directory that is gone, remove both files by hand. Processes of another container look as if they were gone',
    ),
  ]
}

function strays(arenas: readonly ArenaFile[], code: string, what: string, advice: string): Finding[] {
  if (arenas.length === 0) return []
  const mib = Math.ceil(arenas.reduce((sum, { bytes }) => sum + bytes, 0) / 2 ** 20)
  const pids = arenas.map(({ superblock }) => superblock?.ownerPid)
  const shown = `${pids.slice(0, 5).join(', ')}${pids.length > 5 ? ', ...' : ''}`
  const message = `${mib} MiB of shared memory are left by ${arenas.length} processes that are gone (${shown}); ${what}`
  return [
    { code, level: 'notice', message, advice, files: arenas.flatMap(({ data, touch }) => [data, touch]) },
  ]
}

function space({ dir, ssdDir }: Places): Finding[] {
  const disk = isDirectory(ssdDir) ? ssdDir : dir
  const findings: Finding[] = []
  const free = freeBytes(disk)
  if (free !== undefined && free < freeBytesMin) {
    const message = `the file system of ${disk} has ${free} bytes left, less than two files of the log take (${freeBytesMin})`
    findings.push({
      code: 'little-space',
      level: 'problem',
      message,
      advice: 'make room: writes are refused when it is full',
    })
  }
  const shared = freeBytes(sharedMemoryDir)
  if (shared !== undefined && shared < freeBytesMin) {
    const message = `${sharedMemoryDir} has ${shared} bytes left: a store with a larger budget gets memory that dies with its owner`
    findings.push({ code: 'little-memory', level: 'notice', message })
  }
  return findings
}

function freeBytes(path: string): number | undefined {
  try {
    const { bavail, bsize } = statfsSync(path)
    return bavail * bsize
  } catch {
    return undefined
  }
}

/** What a restore that was killed has left. */
function leftovers({ dir, ssdDir }: Places): Finding[] {
  return [...new Set([dir, dirname(ssdDir)])].flatMap((parent) =>
    namesIn(parent)
      .filter((name) => name.startsWith('.restoring-'))
      .map((name): Finding => {
        const message = `${join(parent, name)} is of a restore that did not end`
        return { code: 'unfinished-restore', level: 'notice', message, advice: 'remove it' }
      }),
  )
}

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir)
  } catch {
    return []
  }
}

async function disk(places: Places, signal: AbortSignal | undefined): Promise<Finding[]> {
  const { ssdDir } = places
  let report: VerifyReport
  try {
    report = await verifyLocked(places, signal)
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    if (code !== 'ERR_RAMCACHE_CORRUPT') throw error
    return [
      {
        code: 'newer-format',
        level: 'problem',
        message,
        advice: 'use the version of ramcache that wrote it',
      },
    ]
  }
  const foreign = places.hddDir === undefined ? undefined : hddMarkProblem(ssdDir, places.hddDir)
  const findings = report.problems.map(({ part, message }): Finding => {
    if (/format version \d+, this version/.test(message)) {
      return {
        code: 'newer-format',
        level: 'problem',
        message,
        advice: 'use the version of ramcache that wrote it',
      }
    }
    if (part === 'hdd' && message === foreign) {
      return {
        code: 'foreign-hdd',
        level: 'problem',
        message,
        advice:
          'say where it lies now: mount its disk, or give its path with hdd; the store does not open without it',
      }
    }
    return { code: `damaged-${part}`, level: 'problem', message, advice: adviceOn[part] }
  })
  if (report.log.isTorn) {
    const message = 'the log ends in the middle of a batch: the machine stopped while it was written'
    findings.push({
      code: 'torn-log',
      level: 'notice',
      message,
      advice: 'nothing: it was never durable, and the next start drops it',
    })
  }
  findings.push(...indexFindings(report, ssdDir))
  const reserve = statSync(join(ssdDir, 'log', 'reserve'), { throwIfNoEntry: false })
  if (reserve === undefined) {
    const message = 'the reserve file of the log is missing: on a full disk there is no room for deletes'
    findings.push({
      code: 'no-reserve',
      level: 'notice',
      message,
      advice: 'make room: the next start makes it when it leaves as much free',
    })
  }
  return findings
}

const adviceOn = {
  log: 'what lies there is lost: restore a backup, or go on without it',
  index: 'recover makes the index anew from the log, when that is whole',
  names: 'restore it from a backup: without it the store does not open',
  hdd: 'what lies there is lost: restore a backup, or go on without it',
}

function indexFindings({ index, log, problems }: VerifyReport, ssdDir: string): Finding[] {
  if (index === undefined) {
    const isLost = !existsSync(join(ssdDir, 'index', 'index.mdb')) && log.changes > 0
    if (!isLost || problems.some(({ part }) => part === 'index')) return []
    const message = 'the index of the log is missing'
    return [
      {
        code: 'missing-index',
        level: 'notice',
        message,
        advice: 'nothing: the next start makes it anew from the log',
      },
    ]
  }
  const { position } = index
  const isBehind =
    log.end.file > position.file || (log.end.file === position.file && log.end.offset > position.offset)
  if (!isBehind) return []
  const message = `the index ends at file ${position.file}, offset ${position.offset}, the log at file ${log.end.file}, offset ${log.end.offset}`
  return [
    { code: 'index-behind', level: 'notice', message, advice: 'nothing: the next start reads the rest' },
  ]
}
