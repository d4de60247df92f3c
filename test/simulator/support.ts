/** Shared by the tests of the simulator: tiny traces, trace bytes, caches to drive, and the reference tables. */

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { POLICIES, type Policy, type PolicyName } from '../../src/simulator/policies/index.ts'
import { Lru } from '../../src/simulator/policies/lru.ts'
import type { OpenSubject } from '../../src/simulator/subject.ts'
import { makeTrace, nextUses, type Trace } from '../../src/simulator/trace.ts'

export const SAMPLE_DIRECTORY = fileURLToPath(new URL('../fixtures/traces', import.meta.url))
const SHARED_DIRECTORY = fileURLToPath(new URL('../../../shared/traces', import.meta.url))

/** Ids of words in order of first appearance: 'a b a' is 0 1 0. */
export function traceOf(words: string, size = 1): Trace {
  const ids = new Map<string, number>()
  const keys = words.split(/\s+/).map((word) => {
    if (!ids.has(word)) ids.set(word, ids.size)
    return ids.get(word) as number
  })
  return makeTrace('words', Uint32Array.from(keys), new Uint32Array(ids.size).fill(size), size)
}

/** A trace of any ids, renumbered as the format wants them; sizes are per id as given. */
export function traceOfIds(ids: readonly number[], sizeOf?: (id: number) => number): Trace {
  const renumbered = new Map<number, number>()
  const keys = ids.map((id) => {
    if (!renumbered.has(id)) renumbered.set(id, renumbered.size)
    return renumbered.get(id) as number
  })
  const sizes = Uint32Array.from([...renumbered.keys()], (id) => sizeOf?.(id) ?? 1)
  return makeTrace('ids', Uint32Array.from(keys), sizes, sizeOf === undefined ? 1 : undefined)
}

export function openPolicy(name: PolicyName, trace: Trace, capacity: number): Policy {
  return POLICIES[name]({ capacity, keyCount: trace.uniqueCount, nextUse: () => nextUses(trace) })
}

/** 'h' and 'm' per request. */
export function outcomes(name: PolicyName, trace: Trace, capacity: number): string {
  const policy = openPolicy(name, trace, capacity)
  return Array.from(trace.keys, (id) => (policy.request(id, trace.sizes[id] as number) ? 'h' : 'm')).join('')
}

export function missCount(name: PolicyName, trace: Trace, capacity: number): number {
  return [...outcomes(name, trace, capacity)].filter((outcome) => outcome === 'm').length
}

export interface TraceBytes {
  readonly magic?: string
  readonly flags?: number
  readonly uniformSize?: number
  readonly requests?: bigint
  readonly uniqueKeys?: bigint
  readonly keys?: readonly number[]
  readonly sizes?: readonly number[]
  readonly times?: readonly number[]
  readonly ops?: readonly number[]
}

/** The bytes of a trace file before compression, sound unless told otherwise. */
export function traceBytes(content: TraceBytes): Buffer {
  const { keys = [0, 1, 0], sizes, times, ops } = content
  const header = Buffer.alloc(32)
  header.write(content.magic ?? 'RCTRACE1', 'latin1')
  header.writeUInt32LE(content.flags ?? (sizes ? 1 : 0) + (times ? 2 : 0) + (ops ? 4 : 0), 8)
  header.writeUInt32LE(content.uniformSize ?? 100, 12)
  header.writeBigUInt64LE(content.requests ?? BigInt(keys.length), 16)
  header.writeBigUInt64LE(content.uniqueKeys ?? BigInt(new Set(keys).size), 24)
  const column = (values: readonly number[] = []) => Buffer.from(Uint32Array.from(values).buffer)
  return Buffer.concat([header, column(keys), column(sizes), column(times), Buffer.from(ops ?? [])])
}

export function traceFile(content: TraceBytes): Buffer {
  return gzipSync(traceBytes(content))
}

/** A store that is an exact LRU; with everything counted it has a tenth less room. */
export const openLruSubject: OpenSubject = async ({ capacityBytes, counting }) => {
  const keyCount = 1 << 18
  const capacity = counting === 'payload' ? capacityBytes : Math.floor(capacityBytes * 0.9)
  const lru = new Lru({ capacity, keyCount, nextUse: () => new Uint32Array(0) })
  const ids = new Map<string, number>()
  return {
    name: 'store',
    request(key, size) {
      const id = ids.get(key) ?? ids.size
      ids.set(key, id)
      return lru.request(id, size)
    },
    entries: () => ids.size,
    overheadBytesPerEntry: () => 31,
    close: async () => {},
  }
}

export interface ReferenceRow {
  readonly trace: string
  readonly isUniform: boolean
  readonly fraction: number
  readonly capacity: number
  readonly policy: PolicyName
  readonly objectMissRatio: number
  readonly byteMissRatio: number | undefined
}

/** Directory of the full traces with their reference table, if this machine has them. */
export function fullTraces(): string | undefined {
  const directory = process.env.RAMCACHE_TRACES || SHARED_DIRECTORY
  return existsSync(join(directory, 'reference.csv')) ? directory : undefined
}

/** Rows of the policies that we have too. */
export function readReference(path: string): ReferenceRow[] {
  const rows: ReferenceRow[] = []
  for (const line of readFileSync(path, 'utf8').trim().split('\n').slice(1)) {
    const [trace, mode, fraction, capacity, policy, objects, bytes] = line.split(',') as [string, ...string[]]
    if (policy === undefined || !(policy in POLICIES)) continue
    rows.push({
      trace,
      isUniform: mode === 'objects',
      fraction: Number(fraction),
      capacity: Number(capacity),
      policy: policy as PolicyName,
      objectMissRatio: Number(objects),
      byteMissRatio: bytes ? Number(bytes) : undefined,
    })
  }
  return rows
}
