/** The pictures of `ramcache top`, and what it does to a terminal, without one. */
import { describe, expect, it } from 'vitest'
import { frameOf, type Size } from '../../src/cli/top/frame.ts'
import { sampleOf, type TopSample } from '../../src/cli/top/sample.ts'
import { Screen } from '../../src/cli/top/screen.ts'
import type { Stats } from '../../src/index.ts'

function statsOf(hits: number, misses: number, pid = 7): Stats {
  const disk = { entries: 5, bytes: 5000, hits: hits / 10, demotedIn: hits / 5, promotedOut: 0, evictions: 0 }
  const latency = { p50Us: 0.5, p99Us: 2, p999Us: 9.25, maxUs: 100 }
  return {
    version: '1.2.3',
    uptimeSeconds: 3600,
    owner: { pid, mode: 'daemon' },
    clients: 3,
    hits,
    misses,
    hitRate: hits / (hits + misses),
    sets: hits * 2,
    deletes: 0,
    expired: 0,
    latency: { get: latency, set: latency },
    tiers: {
      ram: { entries: 9, bytes: 2 ** 20, budgetBytes: 2 ** 22, overheadBytes: 2 ** 20, hits, evictions: 0 },
      ssd: disk,
      hdd: { ...disk, entries: 0 },
    },
    namespaces: {},
    durability: { dirtyBytes: 2048, flushLagMs: 7, poisoned: false, replayedBytes: 0 },
    peers: [],
  }
}

const measured = {
  at: Date.UTC(2026, 0, 2, 3, 4, 5),
  intervalSeconds: 2,
  roundTripUs: 41.6,
  hot: {
    readsPerSecond: 100,
    keys: [
      { key: 'first', namespace: 'default', readsPerSecond: 75.4, error: 3.21, share: 0.75 },
      { key: `evil\x1b[2J\n${'x'.repeat(300)}`, namespace: 'n/m', readsPerSecond: 25, error: 2, share: 0.25 },
    ],
  },
}
const textOf = (samples: TopSample[], size: Size) => frameOf(samples, size).map(({ text }) => text)
const wide = { columns: 120, rows: 40 }

describe('a sample', () => {
  it('is what has been counted since the one before, a second', () => {
    const sample = sampleOf(statsOf(100, 100), statsOf(130, 110), measured)
    expect(sample.hitRate).toBe(0.75)
    expect(sample.perSecond).toEqual({ hits: 15, misses: 5, sets: 30, deletes: 0, expired: 0 })
    expect(sample.tiers.ssd).toEqual({ hits: 1.5, in: 3, out: 0 })
  })

  it('begins anew with another owner, and has no rate without reads', () => {
    expect(sampleOf(statsOf(100, 100), statsOf(6, 2, 8), measured).perSecond.hits).toBe(3)
    expect(sampleOf(statsOf(100, 100), statsOf(100, 100), measured).hitRate).toBe(undefined)
  })
})

describe('a picture', () => {
  const samples = [
    sampleOf(statsOf(100, 100), statsOf(100, 120), measured),
    sampleOf(statsOf(100, 120), statsOf(100, 120), measured),
    sampleOf(statsOf(100, 120), statsOf(200, 120), measured),
  ]

  it('has rates, tiers, latency and hot keys', () => {
    const text = textOf(samples, wide)
    expect(text[0]).toBe('ramcache 1.2.3, daemon, pid 7, up 1 h, clients 3, 03:04:05 UTC')
    expect(text[1]).toBe('reads/s 50  sets/s 100  deletes/s 0  expired/s 0')
    expect(text[2]).toBe('hit rate  100.00 % now  62.50 % in all  ▁·█')
    expect(text).toContainEqual(expect.stringMatching(/^ram +9 +1\.0 MiB +50\.00 % +50 +100 +0$/))
    expect(text).toContainEqual(expect.stringMatching(/^get in the store +0\.5 +2\.0 +9\.3 +100\.0$/))
    expect(text).toContainEqual(expect.stringMatching(/^round trip from here, once +42$/))
    expect(text).toContainEqual('not durable yet: 2.0 KiB, 7 ms behind')
    expect(text).toContainEqual(expect.stringMatching(/^first +75 +3\.2 +75\.00 % +default$/))
    expect(frameOf(samples, wide).filter(({ isHeading }) => isHeading)).toHaveLength(3)
  })

  it('fits, whatever the size, and nothing in a key reaches the terminal', () => {
    for (const columns of [1, 20, 79, 200]) {
      for (const rows of [1, 5, 24]) {
        const text = textOf(samples, { columns, rows })
        expect(text.length).toBeLessThanOrEqual(rows)
        for (const line of text) {
          expect([...line].length).toBeLessThanOrEqual(columns)
          expect(line).not.toMatch(/\p{Cc}/u)
        }
      }
    }
    const evil = textOf(samples, { columns: 80, rows: 40 }).find((line) => line.startsWith('evil'))
    expect(evil).toMatch(/^evil\?\[2J\?x+… +25 /)
  })

  it('shows the newest intervals when there are more than columns', () => {
    const many = [...Array.from({ length: 300 }, () => samples[0] as TopSample), ...samples.slice(2)]
    const line = textOf(many, { columns: 60, rows: 5 })[2] as string
    expect([...line]).toHaveLength(60)
    expect(line.endsWith('▁█')).toBe(true)
  })
})

it('a screen gives back what it takes, once, and leaves arrow keys alone', () => {
  let written = ''
  const raw: boolean[] = []
  const keys: string[] = []
  let listener: ((bytes: Uint8Array) => void) | undefined
  const stdin = {
    isTTY: true,
    setRawMode: (isRaw: boolean) => raw.push(isRaw),
    on: (_: 'data', taken: (bytes: Uint8Array) => void) => {
      listener = taken
    },
    off: () => {
      listener = undefined
    },
  }
  const stdout = { write: (text: string | Uint8Array) => (written += text), columns: 10, rows: 2 }
  const screen = new Screen(stdout, stdin, (key) => keys.push(key), false)
  screen.draw([{ text: 'too early', isHeading: false }])
  expect(written).toBe('')
  screen.enter()
  screen.draw([
    { text: 'head', isHeading: true },
    { text: 'row', isHeading: false },
  ])
  listener?.(Buffer.from('\x1b[A'))
  listener?.(Buffer.from('aq'))
  listener?.(Buffer.from('\x1b'))
  expect(keys).toEqual(['a', 'q', '\x1b'])
  screen.leave()
  screen.leave()
  screen.draw([{ text: 'too late', isHeading: false }])
  expect(written).toBe(
    '\x1b[?1049h\x1b[?25l\x1b[?7l' +
      '\x1b[H\x1b[7mhead\x1b[27m\x1b[K\r\nrow\x1b[K\x1b[J' +
      '\x1b[?7h\x1b[?25h\x1b[?1049l',
  )
  expect(raw).toEqual([true, false])
  expect(listener).toBe(undefined)
})
