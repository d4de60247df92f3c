/** Values, times and numbers as people read them. */
import type { Output } from './command.ts'

/** Strings and bytes as they are, with a line end behind a string; anything else as JSON. */
export function writeValue(out: Output, value: unknown): void {
  if (typeof value === 'string') out.write(`${value}\n`)
  else if (value instanceof Uint8Array) out.write(value)
  else out.write(`${jsonOf(value)}\n`)
}

/** JSON that shows what plain JSON leaves out. */
export function jsonOf(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => {
    if (typeof inner === 'bigint') return `${inner}n`
    if (inner instanceof Map) return Object.fromEntries(inner)
    if (inner instanceof Set) return [...inner]
    return inner
  })
}

/** `1.5 s`, `3 min`, `2 d`: one unit, two digits. */
export function durationText(ms: number): string {
  const units: readonly [string, number][] = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['min', 60_000],
    ['s', 1000],
  ]
  const [unit, size] = units.find(([, size]) => ms >= size) ?? ['ms', 1]
  const count = ms / size
  return `${count >= 10 || Number.isInteger(count) ? Math.round(count) : count.toFixed(1)} ${unit}`
}

export function percent(rate: number): string {
  return `${(rate * 100).toFixed(2)} %`
}

/** Rows under a heading, columns padded; the first is text, the others stand to the right. */
export function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = heading.map((name, at) =>
    Math.max(name.length, ...rows.map((row) => (row[at] ?? '').length)),
  )
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, at) => (at === 0 ? cell.padEnd(widths[at] as number) : cell.padStart(widths[at] as number)))
      .join('  ')
      .trimEnd()
  return `${[heading, ...rows].map(line).join('\n')}\n`
}
