/**
 * Miss-ratio curves as one self-contained SVG: a panel per trace, cache size in per cent of the footprint on a
 * logarithmic x axis, object miss ratio on y, one line per policy. No script, no style sheet, no font of its own.
 */

import { formatBytes, formatCount, formatPercent } from './format.ts'
import type { ReplayRow } from './replay.ts'
import { type Area, round, type Scale, xScale, yScale } from './svg-scales.ts'

const PANEL = { width: 372, height: 262, left: 52, right: 26, top: 50, bottom: 56 }
const PLOT: Area = {
  left: PANEL.left,
  top: PANEL.top,
  width: PANEL.width - PANEL.left - PANEL.right,
  height: PANEL.height - PANEL.top - PANEL.bottom,
}
const COLUMNS_MAX = 3
const HEAD_HEIGHT = 84
const MARGIN = 20
const INK = '#1f2933'
const FAINT_INK = '#667480'
const GRID = '#e4e8ec'

interface LineStyle {
  readonly colour: string
  readonly width: number
  readonly dash?: string
}

/** Okabe and Ito's palette: distinct for colour-blind readers too. The store is last and on top. */
const STYLES: Readonly<Record<string, LineStyle>> = {
  Belady: { colour: '#8a939b', width: 1.6, dash: '5 3' },
  FIFO: { colour: '#e69f00', width: 1.8 },
  LRU: { colour: '#0072b2', width: 1.8 },
  SIEVE: { colour: '#cc79a7', width: 1.8 },
  'S3-FIFO': { colour: '#009e73', width: 1.8 },
}
const STORE_STYLE: LineStyle = { colour: '#c1121f', width: 2.6 }

export function formatSvg(rows: readonly ReplayRow[]): string {
  const traces = [...new Set(rows.map((row) => row.trace))]
  const lines = lineNames(rows)
  const columns = Math.max(1, Math.min(COLUMNS_MAX, traces.length))
  const width = 2 * MARGIN + columns * PANEL.width
  const height = HEAD_HEIGHT + Math.ceil(traces.length / columns) * PANEL.height + MARGIN
  const panels = traces.map((trace, index) => {
    const x = MARGIN + (index % columns) * PANEL.width
    const y = HEAD_HEIGHT + Math.floor(index / columns) * PANEL.height
    const ofTrace = rows.filter((row) => row.trace === trace).sort((a, b) => a.fraction - b.fraction)
    return `<g transform="translate(${x} ${y})">\n${panel(ofTrace, lines)}\n</g>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="Helvetica, Arial, 'DejaVu Sans', sans-serif" role="img">
<title>Miss ratio by cache size</title>
<rect width="${width}" height="${height}" fill="#ffffff"/>
${text(MARGIN + 4, 34, 'Miss ratio by cache size', { size: 18, weight: 600 })}
${legend(lines, MARGIN + 4, 60)}
${panels.join('\n')}
</svg>
`
}

interface Line {
  readonly name: string
  readonly style: LineStyle
  readonly missRatio: (row: ReplayRow) => number | undefined
}

function lineNames(rows: readonly ReplayRow[]): Line[] {
  const lines: Line[] = Object.entries(STYLES)
    .filter(([name]) => rows.some((row) => name in row.policies))
    .map(([name, style]) => {
      const policy = name as keyof ReplayRow['policies']
      return { name, style, missRatio: (row) => row.policies[policy]?.objectMissRatio }
    })
  const store = rows.find((row) => row.store !== null)?.store
  if (store) {
    lines.push({ name: store.name, style: STORE_STYLE, missRatio: (row) => row.store?.objectMissRatio })
  }
  return lines
}

function panel(rows: readonly ReplayRow[], lines: readonly Line[]): string {
  const { trace, requests, uniqueKeys, footprintBytes } = rows[0] as ReplayRow
  const fractions = rows.map((row) => row.fraction)
  const ratios = rows.flatMap((row) => lines.flatMap((line) => line.missRatio(row) ?? []))
  const x = xScale(fractions, PLOT)
  const y = yScale(ratios, PLOT)
  const facts = `${formatCount(requests)} requests, ${formatCount(uniqueKeys)} keys, ${formatBytes(footprintBytes)}`
  return [
    text(PLOT.left, 20, trace, { size: 14, weight: 600 }),
    text(PLOT.left, 36, facts, { size: 10.5, colour: FAINT_INK }),
    ...axes(x, y),
    ...lines.map((line) => curve(rows, line, x.at, y.at)),
  ].join('\n')
}

function axes(x: Scale, y: Scale & { readonly digits: number }): string[] {
  const bottom = PLOT.top + PLOT.height
  const centre = PLOT.top + PLOT.height / 2
  const middle = PLOT.left + PLOT.width / 2
  const title: TextStyle = { size: 10.5, colour: FAINT_INK, anchor: 'middle' }
  const horizontal = y.ticks.map((tick) => {
    const at = y.at(tick)
    const label = text(PLOT.left - 7, at + 3.5, tick.toFixed(y.digits), { size: 10.5, anchor: 'end' })
    return `<path d="M${PLOT.left} ${at}h${PLOT.width}" stroke="${GRID}"/>${label}`
  })
  const vertical = x.ticks.map((tick) => {
    const at = x.at(tick)
    const label = text(at, bottom + 16, formatPercent(tick), { size: 10.5, anchor: 'middle' })
    return `<path d="M${at} ${PLOT.top}v${PLOT.height + 4}" stroke="${GRID}"/>${label}`
  })
  return [
    ...horizontal,
    ...vertical,
    `<path d="M${PLOT.left} ${bottom}h${PLOT.width}" stroke="${FAINT_INK}"/>`,
    text(middle, bottom + 33, 'cache size, % of footprint', title),
    `<g transform="rotate(-90 14 ${centre})">${text(14, centre, 'miss ratio', title)}</g>`,
  ]
}

function curve(
  rows: readonly ReplayRow[],
  { name, style, missRatio }: Line,
  x: (fraction: number) => number,
  y: (ratio: number) => number,
): string {
  const points = rows.flatMap((row) => {
    const ratio = missRatio(row)
    return ratio === undefined ? [] : [{ x: x(row.fraction), y: y(ratio) }]
  })
  const dash = style.dash === undefined ? '' : ` stroke-dasharray="${style.dash}"`
  const path = points.map((point) => `${point.x},${point.y}`).join(' ')
  const dots = points
    .map((point) => `<circle cx="${point.x}" cy="${point.y}" r="${round(style.width * 0.55 + 0.9)}"/>`)
    .join('')
  return `<g fill="${style.colour}"><title>${escapeXml(name)}</title><polyline points="${path}" fill="none" stroke="${style.colour}" stroke-width="${style.width}"${dash} stroke-linejoin="round"/>${dots}</g>`
}

function legend(lines: readonly Line[], left: number, baseline: number): string {
  let x = left
  const parts = lines.map(({ name, style }) => {
    const dash = style.dash === undefined ? '' : ` stroke-dasharray="${style.dash}"`
    const mark = `<path d="M${x} ${baseline - 4}h26" stroke="${style.colour}" stroke-width="${style.width}"${dash}/>`
    const label = text(x + 33, baseline, name, { size: 12 })
    x += 33 + 7.5 * name.length + 24
    return mark + label
  })
  return parts.join('\n')
}

interface TextStyle {
  readonly size: number
  readonly weight?: number
  readonly colour?: string
  readonly anchor?: 'start' | 'middle' | 'end'
}

function text(x: number, y: number, content: string, style: TextStyle): string {
  const weight = style.weight === undefined ? '' : ` font-weight="${style.weight}"`
  const anchor = style.anchor === undefined ? '' : ` text-anchor="${style.anchor}"`
  return `<text x="${round(x)}" y="${round(y)}" font-size="${style.size}" fill="${style.colour ?? INK}"${weight}${anchor}>${escapeXml(content)}</text>`
}

/** Trace names come from file names, which may hold anything; control characters are not even legal escaped. */
function escapeXml(content: string): string {
  const entities: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  }
  return content.replace(/\p{Cc}/gu, '?').replace(/[&<>"']/g, (character) => entities[character] as string)
}
