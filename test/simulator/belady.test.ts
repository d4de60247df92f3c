import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { POLICY_NAMES } from '../../src/simulator/policies/index.ts'
import { missCount, traceOfIds } from './support.ts'

/** Fewest misses of any schedule that admits every miss: all evictions tried, equal caches merged. */
function fewestMisses(keys: Iterable<number>, capacity: number): number {
  let states = new Map<number, number>([[0, 0]])
  for (const id of keys) {
    const next = new Map<number, number>()
    const offer = (cache: number, misses: number) => {
      if (misses < (next.get(cache) ?? Number.POSITIVE_INFINITY)) next.set(cache, misses)
    }
    for (const [cache, misses] of states) {
      if (cache & (1 << id)) offer(cache, misses)
      else if (bitCount(cache) < capacity) offer(cache | (1 << id), misses + 1)
      else for (const victim of bits(cache)) offer((cache & ~(1 << victim)) | (1 << id), misses + 1)
    }
    states = next
  }
  return Math.min(...states.values())
}

function bits(set: number): number[] {
  return Array.from({ length: 31 }, (_, bit) => bit).filter((bit) => set & (1 << bit))
}

function bitCount(set: number): number {
  return bits(set).length
}

describe('Belady', () => {
  test('is optimal: no schedule of evictions has fewer misses', () => {
    const traces = fc.array(fc.nat({ max: 6 }), { minLength: 1, maxLength: 30 })
    fc.assert(
      fc.property(traces, fc.integer({ min: 1, max: 5 }), (ids, capacity) => {
        const trace = traceOfIds(ids)
        expect(missCount('Belady', trace, capacity)).toBe(fewestMisses(trace.keys, capacity))
      }),
      { numRuns: 200 },
    )
  })

  test('no online policy has fewer misses', () => {
    const traces = fc.array(fc.nat({ max: 60 }), { minLength: 1, maxLength: 600 })
    fc.assert(
      fc.property(traces, fc.integer({ min: 1, max: 60 }), (ids, capacity) => {
        const trace = traceOfIds(ids)
        const bound = missCount('Belady', trace, capacity)
        for (const name of POLICY_NAMES)
          expect(missCount(name, trace, capacity)).toBeGreaterThanOrEqual(bound)
      }),
      { numRuns: 200 },
    )
  })
})
