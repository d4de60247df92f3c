/**
 * Sizes: a number of bytes, or a whole number with a unit (`'64kb'`, `'512mb'`, `'2gb'`, `'1tb'`). Units are powers
 * of 1,024, in either case, and `kib` is the same as `kb`.
 */
import { RamcacheError, show } from '../base/errors.ts'

/** Bytes, or a whole number followed by `b`, `kb`, `mb`, `gb` or `tb` (powers of 1,024). */
export type Size = number | string

const unitsBytes: Readonly<Record<string, number>> = {
  b: 1,
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  t: 1024 ** 4,
}

/** Whole bytes within the limits; otherwise ERR_RAMCACHE_CONFIG naming the option, the value and the limit. */
export function parseSize(value: unknown, name: string, minBytes: number, maxBytes: number): number {
  const bytes = typeof value === 'string' ? parseText(value, name) : value
  if (typeof bytes !== 'number' || !Number.isInteger(bytes)) {
    throw new RamcacheError(
      'ERR_RAMCACHE_CONFIG',
      `${name} must be a whole number of bytes or a text like '512mb', not ${show(value)}`,
    )
  }
  if (bytes < minBytes || bytes > maxBytes) {
    const bound =
      bytes < minBytes ? `below the minimum of ${minBytes} bytes` : `above the maximum of ${maxBytes} bytes`
    throw new RamcacheError('ERR_RAMCACHE_CONFIG', `${name} is ${show(value)}, ${bound}`)
  }
  return bytes
}

function parseText(text: string, name: string): number {
  const match = /^(\d{1,15}) ?(?:b|([kmgt])i?b)$/i.exec(text)
  if (match === null) {
    throw new RamcacheError(
      'ERR_RAMCACHE_CONFIG',
      `${name} is ${show(text)}; a size is a whole number with a unit: b, kb, mb, gb or tb (as in '512mb')`,
    )
  }
  return Number(match[1]) * (unitsBytes[(match[2] ?? 'b').toLowerCase()] as number)
}
