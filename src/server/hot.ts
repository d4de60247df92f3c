/**
 * Which keys are read most, from what reads leave behind: about one read in 64 of every thread, near caches included, leaves
 * the place of what it found, and here somebody looks every millisecond. A look sees the newest of each thread; it stands for
 * those that came before it. What is read below RAM leaves nothing.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { systemClock } from '../base/clock.ts'
import { binding, type NativeHandle } from '../native/binding.ts'

/** As `SAMPLE_EVERY` and `counters::SLOTS` in `native/core/src`. */
const sampleEvery = 64
const counterSlots = 1024
const lookEveryMs = 1
const headBytes = 8

export interface HotKey {
  readonly namespace: string
  readonly key: Buffer
  /** Reads in the window, estimated. */
  readonly reads: number
  /** Its standard error. */
  readonly error: number
}

export interface HotKeys {
  /** Reads of all keys in the window, estimated. */
  readonly reads: number
  /** The most read first. */
  readonly keys: readonly HotKey[]
}

interface Sum {
  readonly namespace: string
  readonly key: Buffer
  weight: number
  squares: number
}

/** Looks for a while. Namespaces of the store itself are left out. */
export async function hotKeys(handle: NativeHandle, windowMs: number, count: number): Promise<HotKeys> {
  const seen = new Uint32Array(counterSlots)
  const sums = new Map<string, Sum>()
  binding().sampleReads(handle, seen, true)
  const endUs = systemClock.monotonicUs() + windowMs * 1000
  while (systemClock.monotonicUs() < endUs) {
    await pause(lookEveryMs)
    addSamples(binding().sampleReads(handle, seen, false), sums)
  }
  const all = [...sums.values()].sort((left, right) => right.weight - left.weight)
  return {
    reads: all.reduce((total, { weight }) => total + weight, 0) * sampleEvery,
    keys: all.slice(0, count).map(({ namespace, key, weight, squares }) => ({
      namespace,
      key,
      reads: weight * sampleEvery,
      error: Math.sqrt(squares) * sampleEvery,
    })),
  }
}

function addSamples(packed: Buffer, sums: Map<string, Sum>): void {
  for (let at = 0; at < packed.length; ) {
    const weight = packed.readUInt32LE(at)
    const keyAt = at + headBytes + packed.readUInt16LE(at + 4)
    const end = keyAt + packed.readUInt16LE(at + 6)
    const namespace = packed.toString('latin1', at + headBytes, keyAt)
    // No name of a namespace has a space inside.
    const id = `${namespace} ${packed.toString('latin1', keyAt, end)}`
    at = end
    if (namespace.startsWith(' ')) continue
    let sum = sums.get(id)
    if (sum === undefined) {
      sum = { namespace, key: Buffer.from(packed.subarray(keyAt, end)), weight: 0, squares: 0 }
      sums.set(id, sum)
    }
    sum.weight += weight
    sum.squares += weight ** 2
  }
}
