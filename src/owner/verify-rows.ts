/** Every row of the index against the record in the log that it leads to. */
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { binding, type NativeLog } from '../native/binding.ts'
import { changeHeadBytes } from '../tiers/index-batch.ts'
import { kindDelete, kindSet, storedKey } from '../tiers/index-row.ts'
import type { LogIndex, ScanRow } from '../tiers/log-index.ts'
import { readU64 } from '../tiers/u64.ts'
import type { Problems } from './problems.ts'

/** Rows of one look: as many small reads of the log. */
const pageRows = 512
const placeBytes = 12

/** Returns the number of rows. */
export async function checkRows(
  ssdDir: string,
  log: NativeLog,
  index: LogIndex,
  names: number,
  goOn: () => void,
  problems: Problems,
): Promise<number> {
  let count = 0
  let from: Buffer | undefined
  try {
    do {
      goOn()
      const page = index.scan(noBytes, from, pageRows)
      count += page.rows.length
      checkPage(ssdDir, log, index, names, page.rows, problems)
      from = page.next
      await turn()
    } while (from !== undefined)
    return count
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    if (code !== 'ERR_RAMCACHE_CORRUPT') throw error
    problems.add('index', message)
    return count
  }
}

const noBytes = Buffer.alloc(0)

function checkPage(
  ssdDir: string,
  log: NativeLog,
  index: LogIndex,
  names: number,
  rows: readonly ScanRow[],
  problems: Problems,
): void {
  const found = faultsOf(log, rows)
  for (const [number, scanned] of rows.entries()) {
    const { key } = scanned
    if (key.readUInt16BE() >= names) {
      problems.add('index', `${shown(key)} is of a namespace that has no name: there are ${names}`)
    }
    if (found[number] === '') continue
    // Written since, or its file is newer than this look at the log.
    const again = scanned.isHashed ? scanned : { ...scanned, row: index.find(key) ?? scanned.row }
    const [fault] = faultsOf(binding().openLog(join(ssdDir, 'log')), [again])
    if (fault !== '') problems.add('index', `${shown(key)}: ${fault}`)
  }
}

/** What is wrong with each row, or an empty text. */
function faultsOf(log: NativeLog, rows: readonly ScanRow[]): string[] {
  const places = Buffer.alloc(rows.length * placeBytes)
  for (const [number, { row }] of rows.entries()) {
    places.writeUInt32LE(row.file, number * placeBytes)
    places.writeUInt32LE(row.offset, number * placeBytes + 4)
    places.writeUInt32LE(row.bytes, number * placeBytes + 8)
  }
  const { entries, problems } = binding().readLogRecords(log, places)
  let at = 0
  return rows.map((scanned, number) => {
    if (problems[number] !== '') return problems[number] as string
    const keyAt = at + changeHeadBytes
    const next = keyAt + entries.readUInt16LE(at)
    const fault = faultOf(scanned, entries, at, entries.subarray(keyAt, next))
    at = next
    return fault
  })
}

function faultOf({ key, row, isHashed }: ScanRow, entries: Buffer, at: number, recordKey: Buffer): string {
  if (!key.equals(isHashed ? storedKey(recordKey) : recordKey))
    return 'its row leads to a record of another key'
  if (entries[at + 2] !== (row.isTombstone ? kindDelete : kindSet))
    return 'its row leads to a change of another kind'
  const clock = entries.readBigUInt64LE(at + 16)
  if (clock !== row.clock) return `its row has version ${row.clock}, the record has ${clock}`
  const expiresAt = readU64(entries, at + 24)
  return expiresAt === row.expiresAt ? '' : `its row expires at ${row.expiresAt}, the record at ${expiresAt}`
}

function shown(key: Buffer): string {
  return `the key ${JSON.stringify(key.toString('utf8', 2, 62))} of namespace ${key.readUInt16BE()}`
}
