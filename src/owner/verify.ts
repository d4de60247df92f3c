/**
 * Checks the tiers of a store: every batch of every file of the log, every row of the index against the record it leads to, and
 * every change of the log against the index, every entry of the HDD tier. Reads only. Runs beside writes, while nothing is moved or removed.
 */
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { binding, type NativeLog, translate } from '../native/binding.ts'
import type { LogIndex, Position } from '../tiers/log-index.ts'
import { countNames } from './names-file.ts'
import { type Problem, Problems } from './problems.ts'
import { ChangesCheck } from './verify-changes.ts'
import { checkClosedHdd, checkHdd, type HddChecker } from './verify-hdd.ts'
import { checkRows } from './verify-rows.ts'

/** Bytes of the log that are looked at without a pause. */
const pieceBytes = 512 * 1024
/** Looks at what was written meanwhile, for keys that seem to be missing. */
const roundsMax = 4

export interface VerifyReport {
  /** Directory of the tier. */
  readonly path: string
  readonly isSound: boolean
  readonly log: {
    readonly files: number
    readonly bytes: number
    readonly batches: number
    readonly changes: number
    /** The end was cut off by a crash; what lies behind was never durable, and a start drops it. */
    readonly isTorn: boolean
    readonly end: Position
  }
  /** Undefined when there is none that can be read. */
  readonly index: { readonly rows: number; readonly position: Position } | undefined
  /** Undefined without an HDD tier; without `entries` when it cannot be read. */
  readonly hdd: { readonly path: string; readonly entries: number | undefined } | undefined
  /** Keys of the log were not looked for in the index: too many have been deleted, or there is an HDD tier. */
  readonly isPartial: boolean
  readonly problemCount: number
  /** The first of them. */
  readonly problems: readonly Problem[]
}

export interface Verified {
  readonly ssdDir: string
  /** Of the HDD tier, if the store has one. */
  readonly hddDir: string | undefined
  /** When it is open already. */
  readonly hdd?: HddChecker | undefined
  readonly index: LogIndex | undefined
  /** Of a store that is open: brings the index up to the log. */
  readonly checkpoint?: () => Promise<void>
  /** Found before: why there is no index. */
  readonly problems?: readonly Problem[]
}

interface LogCounts {
  batches: number
  changes: number
  isTorn: boolean
  end: Position
}

/** `goOn` throws when it is to be given up. */
export async function verifyStore(verified: Verified, goOn: () => void): Promise<VerifyReport> {
  const { ssdDir, hddDir, hdd, index, checkpoint } = verified
  const problems = new Problems()
  for (const { part, message } of verified.problems ?? []) problems.add(part, message)
  const names = checkNames(ssdDir, problems)
  const log = openLog(ssdDir)
  const { files, strangers } = binding().logFiles(log)
  for (const file of strangers) problems.add('log', `log file ${fileName(file)} belongs to another store`)
  const position = index?.position() ?? start
  const counts = { batches: 0, changes: 0, isTorn: false, end: start }
  // What has gone down to the HDD tier has no row.
  const changes = new ChangesCheck(index, position, hddDir !== undefined)
  // Of a store that is open only what the index has: what comes behind it is still being written.
  const end = checkpoint === undefined ? undefined : position
  await walk(log, start, end, goOn, problems, counts, changes)
  checkEnd(counts, position, problems)
  if (index !== undefined) {
    await lookForMissing(verified, index, changes, position, goOn, problems)
    changes.checkEpochs(index, problems)
  }
  const rows = index === undefined ? 0 : await checkRows(ssdDir, log, index, names, goOn, problems)
  let entries: number | undefined
  if (hdd !== undefined) entries = await checkHdd(hdd, names, goOn, problems)
  else if (hddDir !== undefined) entries = await checkClosedHdd(ssdDir, hddDir, names, goOn, problems)
  return {
    path: ssdDir,
    isSound: problems.count === 0,
    log: {
      files: files.length / 2,
      bytes: files.reduce((sum, number, at) => sum + (at % 2 === 1 ? number : 0), 0),
      ...counts,
    },
    index: index === undefined ? undefined : { rows, position },
    hdd: hddDir === undefined ? undefined : { path: hddDir, entries },
    isPartial: changes.isPartial,
    problemCount: problems.count,
    problems: problems.list,
  }
}

/** Throws ERR_RAMCACHE_CORRUPT when a newer version has written it. */
function openLog(ssdDir: string): NativeLog {
  try {
    return binding().openLog(join(ssdDir, 'log'))
  } catch (error) {
    translate(error)
  }
}

const start: Position = { file: 0, offset: 0 }

function checkNames(ssdDir: string, problems: Problems): number {
  try {
    const count = countNames(ssdDir)
    if (count !== undefined) return count
    problems.add('names', `${join(ssdDir, 'names')} is gone: nobody knows which namespace a record is in`)
  } catch (error) {
    problems.add('names', (error as Error).message)
  }
  return Number.POSITIVE_INFINITY
}

async function walk(
  log: NativeLog,
  from: Position,
  to: Position | undefined,
  goOn: () => void,
  problems: Problems,
  counts: LogCounts,
  changes: ChangesCheck,
): Promise<void> {
  for (let { file, offset } = from; ; ) {
    goOn()
    const part = binding().readLog(log, file, offset, to?.file ?? 0, to?.offset ?? 0, pieceBytes)
    for (const message of part.damage) problems.add('log', message)
    counts.batches += part.batches
    counts.changes += part.changes
    counts.isTorn ||= part.isTorn
    file = part.nextFile
    offset = part.nextOffset
    counts.end = { file, offset }
    changes.see(part.entries)
    if (part.isEnd) return
    await turn()
  }
}

function checkEnd({ end }: LogCounts, position: Position, problems: Problems): void {
  if (end.file > position.file || (end.file === position.file && end.offset >= position.offset)) return
  problems.add(
    'log',
    `the log ends at ${fileName(end.file)}, offset ${end.offset}, before ${fileName(position.file)}, offset ${position.offset}, where the index says it was`,
  )
}

/** A key without a row may have been deleted since the log was read. */
async function lookForMissing(
  { ssdDir, checkpoint }: Verified,
  index: LogIndex,
  changes: ChangesCheck,
  position: Position,
  goOn: () => void,
  problems: Problems,
): Promise<void> {
  let from = position
  for (let round = 0; checkpoint !== undefined && changes.mayBeMissing() && round < roundsMax; round++) {
    await checkpoint()
    const to = index.position()
    const log = openLog(ssdDir)
    changes.extend(to)
    await walk(log, from, to, goOn, problems, { batches: 0, changes: 0, isTorn: false, end: from }, changes)
    from = to
  }
  changes.report(problems)
}

export function fileName(file: number): string {
  return `${file.toString(16).padStart(8, '0')}.log`
}
