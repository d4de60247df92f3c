/** Numbers as people read them, the same in tables, pictures and progress lines. */

/** 0.01 -> "1 %", 0.001 -> "0.1 %". */
export function formatPercent(fraction: number): string {
  return `${Number((fraction * 100).toPrecision(3))} %`
}

/** 1536 -> "1.50 KiB". Three significant digits. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let value = bytes
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${unit === 0 ? value : value.toPrecision(3)} ${units[unit]}`
}

/** 1234567 -> "1,234,567", whatever the locale of the machine. */
export function formatCount(count: number): string {
  return String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, ',')
}

/** 3141592 -> "3.14 M". */
export function formatRate(perSecond: number): string {
  if (perSecond >= 1e6) return `${(perSecond / 1e6).toPrecision(3)} M`
  if (perSecond >= 1e3) return `${(perSecond / 1e3).toPrecision(3)} k`
  return String(perSecond)
}
