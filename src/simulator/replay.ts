/**
 * Runs one trace through exact policies and through a store at several cache sizes.
 *
 * Every request counts, writes and the warm-up included. Capacities are fractions of the footprint, rounded to the
 * nearest unit: objects where all objects have one size (0.1 of 1,011 keys is 101), bytes where sizes differ.
 */

import { setImmediate } from 'node:timers/promises'
import { keyStrings, traceSeed } from './mixer.ts'
import { POLICIES, type PolicyName } from './policies/index.ts'
import type { OpenSubject } from './subject.ts'
import { nextUses, type Trace } from './trace.ts'

export interface MissRatios {
  /** Misses per request. */
  readonly objectMissRatio: number
  /** Bytes of missed objects per byte requested. */
  readonly byteMissRatio: number
}

export interface StoreResult extends MissRatios {
  readonly name: string
  readonly requestsPerSecond: number
  /** Live entries at the end of the trace, with everything counted; so is the overhead. */
  readonly entries: number
  readonly overheadBytesPerEntry: number
  /** The same trace with all memory of the store counted against the capacity. */
  readonly everythingCounted: MissRatios
}

export interface ReplayRow {
  readonly trace: string
  readonly requests: number
  readonly uniqueKeys: number
  readonly footprintBytes: number
  /** Cache size as a share of the footprint. */
  readonly fraction: number
  readonly capacityBytes: number
  /** How many objects the capacity holds; null when their sizes differ. */
  readonly capacityObjects: number | null
  readonly policies: Readonly<Partial<Record<PolicyName, MissRatios>>>
  /** Null when no store was asked for, or the capacity is below the least it can have. */
  readonly store: StoreResult | null
}

export interface ReplayProgress {
  readonly trace: string
  readonly requests: number
  /** What is running: a policy, or the store. */
  readonly policy: string
  readonly fraction: number
  /** Of all runs over this trace, 0 to 1. */
  readonly done: number
  /** Of the run so far. */
  readonly requestsPerSecond: number
}

export interface ReplayOptions {
  readonly fractions: readonly number[]
  readonly policies: readonly PolicyName[]
  readonly openSubject?: OpenSubject | undefined
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number
  /** Called after every chunk of requests. */
  readonly onProgress?: ((progress: ReplayProgress) => void) | undefined
  /** Checked after every chunk. */
  readonly signal?: AbortSignal | undefined
}

/** Small enough for a smooth progress bar and a prompt stop, large enough not to be felt. */
const CHUNK_REQUESTS = 1 << 16
/** A store is run twice per fraction: payload counted, everything counted. */
const SUBJECT_RUNS = 2

export interface Capacity {
  readonly bytes: number
  readonly objects: number | null
}

export function capacityAt(trace: Trace, fraction: number): Capacity {
  if (trace.uniformSize === undefined) {
    return { bytes: Math.max(1, Math.round(fraction * trace.footprintBytes)), objects: null }
  }
  const objects = Math.max(1, Math.round(fraction * trace.uniqueCount))
  return { bytes: objects * trace.uniformSize, objects }
}

/** One row per fraction, as soon as it is complete. */
export async function* replay(trace: Trace, options: ReplayOptions): AsyncGenerator<ReplayRow> {
  const { fractions, policies, openSubject } = options
  const isUniform = trace.uniformSize !== undefined
  const objectSizes = isUniform ? new Uint32Array(trace.uniqueCount).fill(1) : trace.sizes
  const keys = openSubject === undefined ? [] : keyStrings(trace.uniqueCount, traceSeed(trace.name))
  let futures: Uint32Array | undefined
  const nextUse = () => {
    futures ??= nextUses(trace)
    return futures
  }
  const runner = new Runner(trace, options)

  for (const fraction of fractions) {
    const capacity = capacityAt(trace, fraction)
    const results: Partial<Record<PolicyName, MissRatios>> = {}
    for (const name of policies) {
      const input = { capacity: capacity.objects ?? capacity.bytes, keyCount: trace.uniqueCount, nextUse }
      const policy = POLICIES[name](input)
      const { misses } = await runner.run(name, fraction, objectSizes, (id, size) => policy.request(id, size))
      results[name] = misses
    }
    const store =
      openSubject === undefined
        ? null
        : await replayStore(runner, openSubject, capacity.bytes, fraction, keys)
    yield {
      trace: trace.name,
      requests: trace.keys.length,
      uniqueKeys: trace.uniqueCount,
      footprintBytes: trace.footprintBytes,
      fraction,
      capacityBytes: capacity.bytes,
      capacityObjects: capacity.objects,
      policies: results,
      store,
    }
  }
}

async function replayStore(
  runner: Runner,
  openSubject: OpenSubject,
  capacityBytes: number,
  fraction: number,
  keys: readonly string[],
): Promise<StoreResult | null> {
  const runOne = async (counting: 'payload' | 'everything') => {
    const subject = await openSubject({ capacityBytes, counting })
    if (subject === undefined) return undefined
    try {
      const request = (id: number, size: number) => subject.request(keys[id] as string, size)
      const { misses, requestsPerSecond } = await runner.run(
        subject.name,
        fraction,
        runner.trace.sizes,
        request,
      )
      const overheadBytesPerEntry = subject.overheadBytesPerEntry()
      return {
        name: subject.name,
        misses,
        requestsPerSecond,
        entries: subject.entries(),
        overheadBytesPerEntry,
      }
    } finally {
      await subject.close()
    }
  }
  const payload = await runOne('payload')
  const everything = await runOne('everything')
  if (payload === undefined || everything === undefined) return null
  const { entries, overheadBytesPerEntry, misses: everythingCounted } = everything
  const { name, requestsPerSecond, misses } = payload
  return { name, requestsPerSecond, entries, overheadBytesPerEntry, ...misses, everythingCounted }
}

/** Feeds the trace to one cache after the other, and knows how far all of them together are. */
class Runner {
  readonly trace: Trace
  readonly #options: ReplayOptions
  readonly #runsTotal: number
  #runsDone = 0

  constructor(trace: Trace, options: ReplayOptions) {
    const { fractions, policies, openSubject } = options
    this.trace = trace
    this.#options = options
    this.#runsTotal = fractions.length * (policies.length + (openSubject === undefined ? 0 : SUBJECT_RUNS))
  }

  async run(
    policy: string,
    fraction: number,
    sizes: Uint32Array,
    request: (id: number, size: number) => boolean,
  ): Promise<{ misses: MissRatios; requestsPerSecond: number }> {
    const { trace } = this
    const { now, onProgress, signal } = this.#options
    const { keys } = trace
    const count = { misses: 0, bytes: 0, missBytes: 0 }
    let busyMs = 0
    let requestsPerSecond = 0
    for (let start = 0; start < keys.length; start += CHUNK_REQUESTS) {
      const end = Math.min(start + CHUNK_REQUESTS, keys.length)
      const startedAt = now()
      runChunk(keys, start, end, sizes, request, count)
      busyMs += now() - startedAt
      requestsPerSecond = busyMs === 0 ? 0 : Math.round((end * 1000) / busyMs)
      const done = (this.#runsDone + end / keys.length) / this.#runsTotal
      onProgress?.({ trace: trace.name, requests: keys.length, policy, fraction, done, requestsPerSecond })
      await setImmediate()
      signal?.throwIfAborted()
    }
    this.#runsDone += 1
    const misses = {
      objectMissRatio: count.misses / keys.length,
      byteMissRatio: count.missBytes / count.bytes,
    }
    return { misses, requestsPerSecond }
  }
}

function runChunk(
  keys: Uint32Array,
  start: number,
  end: number,
  sizes: Uint32Array,
  request: (id: number, size: number) => boolean,
  count: { misses: number; bytes: number; missBytes: number },
): void {
  let misses = 0
  let bytes = 0
  let missBytes = 0
  for (let i = start; i < end; i++) {
    const id = keys[i] as number
    const size = sizes[id] as number
    bytes += size
    if (request(id, size)) continue
    misses += 1
    missBytes += size
  }
  count.misses += misses
  count.bytes += bytes
  count.missBytes += missBytes
}
