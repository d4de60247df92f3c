/** The store against its two yardsticks over all replayed points (a point is one trace at one cache size). */

import type { ReplayRow } from './replay.ts'

/**
 * Traces made to break a policy rather than to resemble a workload. They are shown, and left out of the means: a
 * cycle longer than the cache says nothing about ordinary traffic.
 */
const ADVERSARIAL_TRACES: ReadonlySet<string> = new Set(['loop'])

export interface Summary {
  /** Ordinary points that have the numbers compared. */
  readonly points: number
  /** Mean of store / exact S3-FIFO, object miss ratios. */
  readonly meanToS3Fifo: number
  readonly pointsBelowLru: number
  /** Largest store / LRU, and where. */
  readonly worstToLru: { readonly ratio: number; readonly trace: string; readonly fraction: number }
}

/** Undefined when no ordinary row has the store, S3-FIFO and LRU. */
export function summarise(rows: readonly ReplayRow[]): Summary | undefined {
  let worstToLru = { ratio: 0, trace: '', fraction: 0 }
  let points = 0
  let ratios = 0
  let pointsBelowLru = 0
  for (const { trace, fraction, policies, store } of rows) {
    const s3Fifo = policies['S3-FIFO']?.objectMissRatio
    const lru = policies.LRU?.objectMissRatio
    if (store === null || s3Fifo === undefined || lru === undefined || ADVERSARIAL_TRACES.has(trace)) continue
    points += 1
    ratios += store.objectMissRatio / s3Fifo
    if (store.objectMissRatio < lru) pointsBelowLru += 1
    const ratio = store.objectMissRatio / lru
    if (ratio > worstToLru.ratio) worstToLru = { ratio, trace, fraction }
  }
  if (points === 0) return undefined
  return { points, meanToS3Fifo: ratios / points, pointsBelowLru, worstToLru }
}
