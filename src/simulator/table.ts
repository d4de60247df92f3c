/**
 * Replay rows as aligned plain text: a line per trace and cache size with object miss ratios, a second line with byte
 * miss ratios where sizes differ, and the store against its yardsticks below.
 */

import { formatBytes, formatPercent, formatRate } from './format.ts'
import type { MissRatios, ReplayRow } from './replay.ts'
import { summarise } from './summary.ts'

const COLUMN_GAP = '  '
/** Of the text columns on the left; all others are numbers and align right. */
const LEFT_ALIGNED_COLUMNS = 1

export function formatTable(rows: readonly ReplayRow[]): string {
  const policies = [...new Set(rows.flatMap((row) => Object.keys(row.policies)))] as PolicyColumn[]
  const store = rows.find((row) => row.store !== null)?.store
  const header = ['trace', 'size', 'capacity', 'miss ratio', ...policies]
  if (store) header.push(store.name, '/S3-FIFO', '/LRU', 'all counted', 'requests/s', 'B/entry')
  const lines = [header]
  let previousTrace = ''
  for (const row of rows) {
    if (previousTrace !== '' && row.trace !== previousTrace) lines.push([])
    lines.push([
      row.trace,
      formatPercent(row.fraction),
      formatBytes(row.capacityBytes),
      ...cells(row, policies),
    ])
    if (row.capacityObjects === null) lines.push(['', '', '', ...byteCells(row, policies)])
    previousTrace = row.trace
  }
  return [...align(lines), ...summaryLines(rows, store?.name)].map((line) => `${line}\n`).join('')
}

type PolicyColumn = keyof ReplayRow['policies']

function cells(row: ReplayRow, policies: readonly PolicyColumn[]): string[] {
  const pick = (ratios: MissRatios | undefined) => ratios?.objectMissRatio
  const shown = ['objects', ...policies.map((name) => ratioCell(pick(row.policies[name])))]
  if (row.store === null) return shown
  return [
    ...shown,
    ratioCell(row.store.objectMissRatio),
    quotientCell(row.store.objectMissRatio, pick(row.policies['S3-FIFO'])),
    quotientCell(row.store.objectMissRatio, pick(row.policies.LRU)),
    ratioCell(row.store.everythingCounted.objectMissRatio),
    formatRate(row.store.requestsPerSecond),
    row.store.overheadBytesPerEntry.toFixed(1),
  ]
}

function byteCells(row: ReplayRow, policies: readonly PolicyColumn[]): string[] {
  const pick = (ratios: MissRatios | undefined) => ratios?.byteMissRatio
  const shown = ['bytes', ...policies.map((name) => ratioCell(pick(row.policies[name])))]
  if (row.store === null) return shown
  return [
    ...shown,
    ratioCell(row.store.byteMissRatio),
    quotientCell(row.store.byteMissRatio, pick(row.policies['S3-FIFO'])),
    quotientCell(row.store.byteMissRatio, pick(row.policies.LRU)),
    ratioCell(row.store.everythingCounted.byteMissRatio),
  ]
}

function ratioCell(ratio: number | undefined): string {
  return ratio === undefined ? '-' : ratio.toFixed(4)
}

function quotientCell(ratio: number, yardstick: number | undefined): string {
  return yardstick === undefined ? '-' : (ratio / yardstick).toFixed(3)
}

function align(lines: readonly (readonly string[])[]): string[] {
  const columnCount = Math.max(...lines.map((line) => line.length))
  const widths = Array.from({ length: columnCount }, (_, column) =>
    Math.max(...lines.map((line) => line[column]?.length ?? 0)),
  )
  const pad = (cell: string, column: number) => {
    const width = widths[column] as number
    return column < LEFT_ALIGNED_COLUMNS ? cell.padEnd(width) : cell.padStart(width)
  }
  return lines.map((line) => line.map(pad).join(COLUMN_GAP).trimEnd())
}

function summaryLines(rows: readonly ReplayRow[], storeName: string | undefined): string[] {
  const summary = summarise(rows)
  if (summary === undefined) return []
  const { points, meanToS3Fifo, pointsBelowLru, worstToLru } = summary
  const where = `${worstToLru.trace} at ${formatPercent(worstToLru.fraction)}`
  return [
    '',
    `${storeName} / S3-FIFO: mean ${meanToS3Fifo.toFixed(3)} over ${points} ordinary points`,
    `${storeName} below LRU: ${pointsBelowLru} of ${points}; highest ${storeName} / LRU ${worstToLru.ratio.toFixed(3)} (${where})`,
  ]
}
