/** One picture of `ramcache top`, as lines that fit: no longer than the screen is wide, no more than it is high. */
import { sizeOf } from '../offline.ts'
import { durationText, percent, table } from '../show.ts'
import type { TopSample } from './sample.ts'

export interface Size {
  readonly columns: number
  readonly rows: number
}

export interface Line {
  readonly text: string
  /** Over a table. */
  readonly isHeading: boolean
}

const bars = [...'▁▂▃▄▅▆▇█']
/** Of a key; the numbers beside it are to be seen. */
const keyColumnsLeast = 16
const numberColumns = 40

/** `samples`, the newest last: at least one. */
export function frameOf(samples: readonly TopSample[], { columns, rows }: Size): Line[] {
  const sample = samples.at(-1) as TopSample
  const lines = [
    ...plain(headText(sample)),
    ...plain(`hit rate  ${hitRates(samples, columns)}`),
    ...plain(''),
    ...tableLines(tierTable(sample)),
    ...plain(''),
    ...tableLines(latencyTable(sample)),
    ...plain(durabilityText(sample)),
    ...plain(''),
    ...tableLines(hotTable(sample, Math.max(keyColumnsLeast, columns - numberColumns))),
  ]
  return lines
    .slice(0, rows)
    .map(({ text, isHeading }) => ({ text: [...text].slice(0, columns).join(''), isHeading }))
}

function plain(text: string): Line[] {
  return text.split('\n').map((line) => ({ text: line, isHeading: false }))
}

function tableLines(text: string): Line[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line, index) => ({ text: line, isHeading: index === 0 }))
}

function headText({ stats, perSecond, at }: TopSample): string {
  const { owner, version, clients, uptimeSeconds } = stats
  const reads = perSecond.hits + perSecond.misses
  return [
    `ramcache ${version}, ${owner.mode}, pid ${owner.pid}, up ${durationText(uptimeSeconds * 1000)}, clients ${clients}, ${new Date(at).toISOString().slice(11, 19)} UTC`,
    `reads/s ${count(reads)}  sets/s ${count(perSecond.sets)}  deletes/s ${count(perSecond.deletes)}  expired/s ${count(perSecond.expired)}`,
  ].join('\n')
}

/** Now, since the beginning, and a bar for each interval; a point for one without reads. */
function hitRates(samples: readonly TopSample[], columns: number): string {
  const sample = samples.at(-1) as TopSample
  const now = sample.hitRate === undefined ? 'no reads' : percent(sample.hitRate)
  const before = `${now.padStart(8)} now  ${percent(sample.stats.hitRate)} in all  `
  const room = Math.max(0, columns - 'hit rate  '.length - before.length)
  return before + samples.slice(-Math.max(room, 1)).map(barOf).join('').slice(-Math.max(room, 1))
}

function barOf({ hitRate }: TopSample): string {
  if (hitRate === undefined) return '·'
  return bars[Math.min(bars.length - 1, Math.floor(hitRate * bars.length))] as string
}

function tierTable({ stats, tiers }: TopSample): string {
  const { ram, ssd, hdd } = stats.tiers
  const row = (name: 'ram' | 'ssd' | 'hdd', entries: number, bytes: number, used: string) => {
    const { hits, in: down, out } = tiers[name]
    return [name, String(entries), sizeOf(bytes), used, count(hits), count(down), count(out)]
  }
  const used = percent(ram.budgetBytes === 0 ? 0 : (ram.bytes + ram.overheadBytes) / ram.budgetBytes)
  return table(
    ['tier', 'entries', 'bytes', 'of budget', 'hits/s', 'in/s', 'out/s'],
    [
      row('ram', ram.entries, ram.bytes, used),
      row('ssd', ssd.entries, ssd.bytes, ''),
      row('hdd', hdd.entries, hdd.bytes, ''),
    ],
  )
}

function latencyTable({ stats, roundTripUs }: TopSample): string {
  const rows = (['get', 'set'] as const).map((name) => {
    const { p50Us, p99Us, p999Us, maxUs } = stats.latency[name]
    return [`${name} in the store`, ...[p50Us, p99Us, p999Us, maxUs].map((us) => us.toFixed(1))]
  })
  return table(
    ['µs', 'p50', 'p99', 'p99.9', 'max'],
    [...rows, ['round trip from here, once', roundTripUs.toFixed(0), '', '', '']],
  )
}

function durabilityText({ stats: { durability } }: TopSample): string {
  const { dirtyBytes, flushLagMs, poisoned } = durability
  const lag = `not durable yet: ${sizeOf(dirtyBytes)}, ${durationText(flushLagMs)} behind`
  return poisoned ? `POISONED: writes are refused; ${lag}` : lag
}

function hotTable({ hot }: TopSample, keyColumns: number): string {
  const rows = hot.keys.map(({ key, readsPerSecond, error, share, namespace }) => [
    shortened(printable(key), keyColumns),
    count(readsPerSecond),
    count(error),
    percent(share),
    namespace,
  ])
  return table(['hot key', 'reads/s', '±', 'share', 'namespace'], rows)
}

/** Somebody else wrote it: nothing in it is for the terminal. */
function printable(key: string): string {
  return key.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, '?')
}

function shortened(text: string, columns: number): string {
  const characters = [...text]
  return characters.length <= columns ? text : `${characters.slice(0, columns - 1).join('')}…`
}

/** Whole from 10 on. */
function count(perSecond: number): string {
  return perSecond >= 10 || perSecond === 0 ? perSecond.toFixed(0) : perSecond.toFixed(1)
}
