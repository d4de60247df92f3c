import { describe, expect, test } from 'vitest'
import { capacityAt, type ReplayProgress, type ReplayRow, replay } from '../../src/simulator/replay.ts'
import type { OpenSubject, SubjectOptions } from '../../src/simulator/subject.ts'
import { limitTrace } from '../../src/simulator/trace.ts'
import { missCount, openLruSubject, traceOf, traceOfIds } from './support.ts'

const IDS = Array.from({ length: 5000 }, (_, i) => (i * i * 17 + (i % 13) * 5) % 301)
const MIXED = traceOfIds(IDS, (id) => 512 * (1 + (id % 9)))
const PAGES = traceOf(IDS.join(' '), 4096)

async function rowsOf(rows: AsyncGenerator<ReplayRow>): Promise<ReplayRow[]> {
  const all: ReplayRow[] = []
  for await (const row of rows) all.push(row)
  return all
}

/** A clock that goes on by one millisecond whenever it is read. */
function tickingClock(): () => number {
  let time = 0
  return () => time++
}

describe('capacity', () => {
  test('is a rounded count of objects when all have one size', () => {
    const trace = traceOfIds(Array.from({ length: 1011 }, (_, i) => i))
    expect(capacityAt(trace, 0.1)).toEqual({ bytes: 101, objects: 101 })
    expect(capacityAt({ ...trace, uniformSize: 4096 }, 0.3)).toEqual({ bytes: 303 * 4096, objects: 303 })
    expect(capacityAt(trace, 0.0001).objects).toBe(1)
  })

  test('is a rounded sum of bytes when sizes differ', () => {
    expect(capacityAt(MIXED, 0.1)).toEqual({ bytes: Math.round(MIXED.footprintBytes / 10), objects: null })
  })
})

test('a row per fraction, with the ratios of each policy alone', async () => {
  const rows = await rowsOf(
    replay(PAGES, { fractions: [0.1, 0.3], policies: ['LRU', 'Belady'], now: () => 0 }),
  )
  expect(rows.map((row) => row.fraction)).toEqual([0.1, 0.3])
  for (const row of rows) {
    expect(Object.keys(row.policies)).toEqual(['LRU', 'Belady'])
    const objects = row.capacityObjects as number
    const misses = missCount('LRU', traceOf(IDS.join(' ')), objects)
    expect(row.policies.LRU?.objectMissRatio).toBe(misses / IDS.length)
    expect(row.policies.LRU?.byteMissRatio).toBe(misses / IDS.length)
    expect(row.store).toBeNull()
  }
})

describe('a store', () => {
  test('that is an exact LRU scores as LRU, in objects and in bytes', async () => {
    for (const trace of [PAGES, MIXED]) {
      const options = {
        fractions: [0.1, 0.3],
        policies: ['LRU' as const],
        openSubject: openLruSubject,
        now: tickingClock(),
      }
      for (const row of await rowsOf(replay(trace, options))) {
        expect(row.store).toMatchObject({ ...row.policies.LRU, name: 'store', overheadBytesPerEntry: 31 })
        expect(row.store?.requestsPerSecond).toBe(5_000_000)
        const everything = row.store?.everythingCounted.objectMissRatio as number
        expect(everything).toBeGreaterThan(row.store?.objectMissRatio as number)
      }
    }
  })

  test('is opened for payload, then for everything, never sees an id, and is closed also when it fails', async () => {
    const opened: SubjectOptions[] = []
    const keys = new Set<string>()
    let closed = 0
    const openSubject: OpenSubject = async (options) => {
      opened.push(options)
      const isBroken = options.counting === 'everything'
      return {
        name: 'store',
        request: (key, size) => {
          if (isBroken) throw new Error('broken store')
          keys.add(key)
          return size !== 4096
        },
        entries: () => 1,
        overheadBytesPerEntry: () => 0,
        close: async () => {
          closed += 1
        },
      }
    }
    const options = { fractions: [0.1], policies: [], openSubject, now: () => 0 }
    await expect(rowsOf(replay(PAGES, options))).rejects.toThrow('broken store')
    const { bytes } = capacityAt(PAGES, 0.1)
    expect(opened).toEqual([
      { capacityBytes: bytes, counting: 'payload' },
      { capacityBytes: bytes, counting: 'everything' },
    ])
    expect(closed).toBe(2)
    expect(keys.size).toBe(PAGES.uniqueCount)
    expect([...keys].every((key) => key.length === 11)).toBe(true)
  })
})

test('progress rises to one over all runs of the trace', async () => {
  const seen: ReplayProgress[] = []
  const long = traceOfIds(Array.from({ length: 150_000 }, (_, i) => i % 700))
  await rowsOf(
    replay(long, {
      fractions: [0.1, 0.2],
      policies: ['FIFO'],
      openSubject: openLruSubject,
      now: tickingClock(),
      onProgress: (progress) => seen.push(progress),
    }),
  )
  // Two fractions, FIFO and twice the store, three chunks each.
  expect(seen).toHaveLength(2 * 3 * 3)
  expect(seen.map(({ done }) => done)).toEqual(seen.map((_, index) => expect.closeTo(doneAfter(index), 9)))
  expect(seen.at(-1)).toMatchObject({
    trace: 'ids',
    policy: 'store',
    fraction: 0.2,
    requests: 150_000,
    done: 1,
  })
  expect(seen[0]?.requestsPerSecond).toBe(65_536_000)

  function doneAfter(index: number): number {
    const run = Math.floor(index / 3)
    const ofRun = [65_536, 131_072, 150_000][index % 3] as number
    return (run + ofRun / 150_000) / 6
  }
})

test('an abort stops at the next chunk', async () => {
  const stop = new AbortController()
  let chunks = 0
  const onProgress = () => {
    chunks += 1
    stop.abort()
  }
  const options = {
    fractions: [0.1],
    policies: ['FIFO' as const],
    now: () => 0,
    onProgress,
    signal: stop.signal,
  }
  await expect(rowsOf(replay(limitTrace(PAGES, 100), options))).rejects.toBe(stop.signal.reason)
  expect(chunks).toBe(1)
})
