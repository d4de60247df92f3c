/** The tiers below RAM of an owner: the threads that keep them, from start to stop. */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { RamcacheError } from '../base/errors.ts'
import { binding, type NativeHandle, translate } from '../native/binding.ts'
import type { PinnedKey, Started, Stop, TierThreadData } from './messages.ts'

/** Threads that answer cold reads: one waits for the disk while the other looks at the index. */
const readerCount = 2

export class Tiers {
  readonly #handle: NativeHandle
  readonly #keeper: Worker
  readonly #readers: Worker[]
  /** What went wrong at the start and was mended. */
  readonly warnings: readonly string[]
  readonly pinned: readonly PinnedKey[]

  private constructor(handle: NativeHandle, keeper: Worker, readers: Worker[], started: Started & { kind: 'started' }) {
    this.#handle = handle
    this.#keeper = keeper
    this.#readers = readers
    this.warnings = started.warnings
    this.pinned = started.pinned
  }

  /** Starts the threads; rejects with what the index or the log failed with. */
  static async start(handle: NativeHandle, data: TierThreadData): Promise<Tiers> {
    const keeper = startThread('index-worker', data)
    const started = await firstMessage(keeper)
    if (started.kind === 'failed') {
      throw new RamcacheError(started.code as RamcacheError['code'], started.message)
    }
    // Only now: readers look at an index that is there.
    const readers = Array.from({ length: readerCount }, () => startThread('reader-worker', data))
    return new Tiers(handle, keeper, readers, started)
  }

  /** Takes no more writes, brings what was written to disk, ends the threads. */
  async stop(): Promise<void> {
    let failure: unknown
    try {
      binding().stopBelow(this.#handle)
    } catch (error) {
      failure = error
    }
    const stop: Stop = { kind: 'stop' }
    this.#keeper.postMessage(stop)
    await Promise.all([this.#keeper, ...this.#readers].map(ended))
    if (failure !== undefined) translate(failure)
  }
}

/** In the source tree, which Node cannot run in a thread, the built one is taken. */
function startThread(name: string, workerData: TierThreadData): Worker {
  const isSource = import.meta.url.endsWith('.ts')
  const url = new URL(isSource ? `../../dist/owner/${name}.js` : `./${name}.js`, import.meta.url)
  const worker = new Worker(url, { workerData, name: `ramcache ${name}` })
  // They live as long as the store, not as long as the program has something to do.
  worker.unref()
  return worker
}

function firstMessage(worker: Worker): Promise<Started> {
  worker.ref()
  return new Promise<Started>((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
    worker.once('exit', (code) => reject(new Error(`the thread of the index ended with ${code}`)))
  }).finally(() => worker.unref())
}

async function ended(worker: Worker): Promise<void> {
  if (worker.threadId === -1) return
  worker.ref()
  await once(worker, 'exit')
}
