/** A load: so many requests, a number of them under way at a time, each of them timed. */
import { Prng } from '../base/prng.ts'
import type { LatencyStats } from '../index.ts'
import { latencyOf } from './samples.ts'

/** The same keys in the same order every time. */
const seed = 1

export interface Load {
  readonly requests: number
  readonly keys: number
  readonly valueBytes: number
  readonly clients: number
  readonly signal: AbortSignal | undefined
  readonly nowUs: () => number
}

export interface LoadResult extends LatencyStats {
  readonly kind: string
  readonly requests: number
  readonly clients: number
  readonly keys: number
  readonly valueBytes: number
  readonly seconds: number
  readonly requestsPerSecond: number
  /** Gets that found nothing, or something else. */
  readonly misses: number
}

/** Carries `request` out for random keys. Rejects with what the first failed one rejects with, or when it is interrupted. */
export async function runLoad(
  kind: string,
  load: Load,
  request: (key: number) => Promise<'miss' | undefined>,
): Promise<LoadResult> {
  const { requests, keys, valueBytes, clients, signal, nowUs } = load
  const prng = new Prng(seed)
  const us = new Float64Array(requests)
  let begun = 0
  let misses = 0
  const client = async () => {
    while (begun < requests) {
      signal?.throwIfAborted()
      const at = begun++
      const key = prng.below(keys)
      const startUs = nowUs()
      if ((await request(key)) === 'miss') misses++
      us[at] = nowUs() - startUs
    }
  }
  const startUs = nowUs()
  try {
    await Promise.all(Array.from({ length: Math.min(clients, requests) }, client))
  } finally {
    // After a failure the others end too.
    begun = requests
  }
  const seconds = (nowUs() - startUs) / 1e6
  const requestsPerSecond = requests / seconds
  return {
    kind,
    requests,
    clients,
    keys,
    valueBytes,
    seconds,
    requestsPerSecond,
    misses,
    ...latencyOf(us),
  }
}
