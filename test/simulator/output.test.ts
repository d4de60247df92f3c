import { describe, expect, test } from 'vitest'
import { formatBytes, formatCount, formatPercent, formatRate } from '../../src/simulator/format.ts'
import type { ReplayRow } from '../../src/simulator/replay.ts'
import { summarise } from '../../src/simulator/summary.ts'
import { formatSvg } from '../../src/simulator/svg.ts'
import { formatTable } from '../../src/simulator/table.ts'
import { checkXml } from './xml.ts'

const both = (ratio: number) => ({ objectMissRatio: ratio, byteMissRatio: ratio })

function row(trace: string, fraction: number, lru: number, s3Fifo: number, store: number): ReplayRow {
  return {
    trace,
    requests: 1000,
    uniqueKeys: 100,
    footprintBytes: 409_600,
    fraction,
    capacityBytes: 409_600 * fraction,
    capacityObjects: 100 * fraction,
    policies: { FIFO: both(0.9), LRU: both(lru), 'S3-FIFO': both(s3Fifo) },
    store: {
      ...both(store),
      name: 'store',
      requestsPerSecond: 1_234_567,
      entries: 10,
      overheadBytesPerEntry: 31.04,
      everythingCounted: both(store + 0.01),
    },
  }
}

const ROWS = [
  row('shop', 0.01, 0.8, 0.5, 0.55),
  row('shop', 0.1, 0.4, 0.4, 0.42),
  row('loop', 0.1, 1, 1, 0.2),
  { ...row('disk', 0.3, 0.6, 0.5, 0.5), capacityObjects: null },
]

describe('summary', () => {
  test('leaves the adversarial trace out', () => {
    expect(summarise(ROWS)).toEqual({
      points: 3,
      meanToS3Fifo: expect.closeTo((1.1 + 1.05 + 1) / 3, 9),
      pointsBelowLru: 2,
      worstToLru: { ratio: expect.closeTo(1.05, 9), trace: 'shop', fraction: 0.1 },
    })
  })

  test('is absent where there is nothing to compare', () => {
    expect(summarise(ROWS.map((row) => ({ ...row, store: null })))).toBeUndefined()
    expect(summarise([{ ...(ROWS[0] as ReplayRow), policies: {} }])).toBeUndefined()
  })
})

describe('table', () => {
  test('is aligned, with a byte line where sizes differ', () => {
    expect(`\n${formatTable(ROWS)}`).toBe(`
trace  size  capacity  miss ratio    FIFO     LRU  S3-FIFO   store  /S3-FIFO   /LRU  all counted  requests/s  B/entry
shop    1 %  4.00 KiB     objects  0.9000  0.8000   0.5000  0.5500     1.100  0.688       0.5600      1.23 M     31.0
shop   10 %  40.0 KiB     objects  0.9000  0.4000   0.4000  0.4200     1.050  1.050       0.4300      1.23 M     31.0

loop   10 %  40.0 KiB     objects  0.9000  1.0000   1.0000  0.2000     0.200  0.200       0.2100      1.23 M     31.0

disk   30 %   120 KiB     objects  0.9000  0.6000   0.5000  0.5000     1.000  0.833       0.5100      1.23 M     31.0
                            bytes  0.9000  0.6000   0.5000  0.5000     1.000  0.833       0.5100

store / S3-FIFO: mean 1.050 over 3 ordinary points
store below LRU: 2 of 3; highest store / LRU 1.050 (shop at 10 %)
`)
  })

  test('without a store has policies only', () => {
    const bare = ROWS.slice(0, 1).map((row) => ({ ...row, store: null, policies: { LRU: both(0.5) } }))
    expect(formatTable(bare)).toBe(
      'trace  size  capacity  miss ratio     LRU\nshop    1 %  4.00 KiB     objects  0.5000\n',
    )
  })
})

describe('curves', () => {
  test('one panel per trace, one line per policy and store, well-formed', () => {
    const svg = formatSvg(ROWS)
    const elements = checkXml(svg)
    const count = (name: string) => elements.filter((element) => element === name).length
    expect(count('polyline')).toBe(3 * 4)
    expect(count('circle')).toBe(4 * 4)
    expect(svg.match(/miss ratio<\/text>/g)).toHaveLength(3)
    expect(svg.match(/cache size, % of footprint/g)).toHaveLength(3)
    for (const name of ['shop', 'loop', 'disk', 'FIFO', 'LRU', 'S3-FIFO', 'store']) {
      expect(svg).toContain(`>${name}</text>`)
    }
    expect(svg).not.toMatch(/NaN|undefined|Infinity/)
    expect(svg).not.toMatch(/(href|src|url)\s*[=(]/)
  })

  test('a trace name cannot break the picture', () => {
    const svg = formatSvg([row('<b a="1">&\u0000', 0.1, 0.5, 0.5, 0.5)])
    checkXml(svg)
    expect(svg).toContain('&lt;b a=&quot;1&quot;&gt;&amp;?')
  })

  test('every point is inside its panel, flat and full scale alike', () => {
    const flat = [0.001, 0.01, 0.05, 0.1, 0.3, 0.5].map((fraction) => row('flat', fraction, 1, 1, 1))
    const full = [0.01, 1].map((fraction) => row('full', fraction, 1 - fraction, 0, 1))
    for (const rows of [flat, full, [row('one', 0.1, 0, 0, 0)]]) {
      const svg = formatSvg(rows)
      for (const [, x, y] of svg.matchAll(/<circle cx="([\d.-]+)" cy="([\d.-]+)"/g)) {
        expect(Number(x)).toBeGreaterThanOrEqual(50)
        expect(Number(x)).toBeLessThanOrEqual(350)
        expect(Number(y)).toBeGreaterThanOrEqual(50)
        expect(Number(y)).toBeLessThanOrEqual(210)
      }
      expect(svg).not.toMatch(/>1\.[0-9]*[1-9]<\/text>/)
    }
  })
})

test('numbers', () => {
  expect([0.01, 0.001, 0.3, 1, 0.125].map(formatPercent)).toEqual(['1 %', '0.1 %', '30 %', '100 %', '12.5 %'])
  expect([0, 999, 1000, 1536, 2 ** 20, 3.5e12].map(formatBytes)).toEqual([
    '0 B',
    '999 B',
    '0.977 KiB',
    '1.50 KiB',
    '1.00 MiB',
    '3.18 TiB',
  ])
  expect([0, 999, 1000, 5_000_000].map(formatCount)).toEqual(['0', '999', '1,000', '5,000,000'])
  expect([12, 1500, 3_141_592].map(formatRate)).toEqual(['12', '1.50 k', '3.14 M'])
})
