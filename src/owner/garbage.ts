/**
 * Frees the garbage of this thread's heap. V8 lets the heap of a thread grow by tens of megabytes before it looks for
 * what has grown old in it, whatever the thread needs; in those of the tiers that is most of the memory they take.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Garbage that is left alone. */
const garbageBytesMost = 2 * 1024 * 1024

export class Garbage {
  readonly #collect: (() => void) | undefined
  #usedBytes = 0

  constructor() {
    // Seen by contexts that are made while it is set, so by no code but this.
    setFlagsFromString('--expose-gc')
    this.#collect = runInNewContext('globalThis.gc') as (() => void) | undefined
    setFlagsFromString('--no-expose-gc')
  }

  /** Takes some 20 ms of this thread, when there is enough of it. */
  collect(): void {
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    if (heapUsed + arrayBuffers < this.#usedBytes + garbageBytesMost) return
    this.#collect?.()
    const left = process.memoryUsage()
    this.#usedBytes = left.heapUsed + left.arrayBuffers
  }
}
