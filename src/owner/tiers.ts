/** The tiers below RAM of an owner: the threads that keep them, from start to stop. */
import { once } from 'node:events'
import { resolve } from 'node:path'
import { Worker } from 'node:worker_threads'
import { RamcacheError } from '../base/errors.ts'
import { binding, type NativeHandle } from '../native/binding.ts'
import { blobsNamespace, structuresNamespace } from '../native/engine.ts'
import type { FromKeeper, Stop, TierThreadData } from './messages.ts'

/** Changes are on disk this long after they were made, at the latest. */
const syncIntervalMs = 1000
/** Files of the value log; what a full disk leaves for deletes is two of them. */
const fileBytesDefault = 64 * 1024 * 1024
/** What short-lived objects may take in each thread: V8 would let them have 48 MB before it looks after them. */
const youngMegabytes = 3
/** Threads that answer cold reads: one waits for the disk while the other looks at the index. */
const readerCount = 2

/** What starting and stopping needs of the engine. */
export interface TieredEngine {
  readonly native: NativeHandle
  /** Counts it out; whether it was the last one in this process. */
  leave(): boolean
  recall(namespace: string, key: string): Promise<void>
}

/** The tiers that this thread has started, by the directory of their store. */
const running = new Map<string, Promise<Tiers>>()
/** Those that it is stopping. */
const stopping = new Map<string, Promise<void>>()

/** Resolves when nobody here is just closing the store of a directory: it would close under who opens it now. */
export async function tiersStopped(dir: string): Promise<void> {
  await stopping.get(resolve(dir))?.catch(() => {})
}

/** Gives a store its tiers, unless it has them. Rejects with what the index or the log failed with. */
export async function startTiers(
  engine: TieredEngine,
  dir: string,
  ssdDir: string,
  fileBytes = fileBytesDefault,
): Promise<void> {
  const path = resolve(dir)
  let tiers = running.get(path)
  if (tiers === undefined) {
    // Another thread's.
    if (binding().hasTiers(engine.native)) return
    tiers = Tiers.start(engine, dir, ssdDir, fileBytes)
    running.set(path, tiers)
    tiers.catch(() => running.delete(path))
  }
  await tiers
}

/**
 * Counts a user of the store out. With the last one of the process the tiers take no more writes, bring what was
 * written to disk and end. Rejects with what the log failed with.
 */
export async function leaveTiers(engine: TieredEngine, dir: string): Promise<void> {
  // At once: of two that close at a time one is the last.
  const isLast = engine.leave()
  const path = resolve(dir)
  const tiers = running.get(path)
  if (!isLast || tiers === undefined) return
  running.delete(path)
  const stopped = tiers.then((started) => started.stop())
  stopping.set(path, stopped)
  try {
    await stopped
  } finally {
    stopping.delete(path)
  }
}

class Tiers {
  readonly #keeper: Worker
  readonly #readers: Worker[]

  static async start(engine: TieredEngine, dir: string, ssdDir: string, fileBytes: number): Promise<Tiers> {
    const data: TierThreadData = {
      dir,
      ssdDir,
      pinnedNamespaces: [structuresNamespace, blobsNamespace],
      syncIntervalMs,
      fileBytes,
      reserveBytes: 2 * fileBytes,
    }
    const keeper = startThread('index-worker', data)
    const started = await firstMessage(keeper)
    if (started.kind !== 'started') {
      await ended(keeper)
      throw failureOf(started)
    }
    // Only now: readers look at an index that is there.
    const readers = Array.from({ length: readerCount }, () => startThread('reader-worker', data))
    for (const { namespace, key } of started.pinned) await engine.recall(namespace, key)
    // What was lost or made again: the store goes on, but somebody should look at the disk.
    for (const warning of started.warnings) process.emitWarning(warning, 'RamcacheWarning')
    return new Tiers(keeper, readers)
  }

  private constructor(keeper: Worker, readers: Worker[]) {
    this.#keeper = keeper
    this.#readers = readers
  }

  async stop(): Promise<void> {
    const stop: Stop = { kind: 'stop' }
    const answered = firstMessage(this.#keeper)
    this.#keeper.postMessage(stop)
    const stopped = await answered
    await Promise.all([this.#keeper, ...this.#readers].map(ended))
    if (stopped.kind === 'failed') throw failureOf(stopped)
  }
}

/** In the source tree, which Node cannot run in a thread, the built one is taken. */
function startThread(name: string, workerData: TierThreadData): Worker {
  const isSource = import.meta.url.endsWith('.ts')
  const url = new URL(isSource ? `../../dist/owner/${name}.js` : `./${name}.js`, import.meta.url)
  const resourceLimits = { maxYoungGenerationSizeMb: youngMegabytes }
  // Not the program's own: an option like --input-type is an error in a thread that runs a file.
  const worker = new Worker(url, { workerData, resourceLimits, execArgv: [], name: `ramcache ${name}` })
  // They live as long as the store, not as long as the program has something to do.
  worker.unref()
  return worker
}

function firstMessage(worker: Worker): Promise<FromKeeper> {
  worker.ref()
  return once(worker, 'message').then(([message]) => {
    worker.unref()
    return message as FromKeeper
  })
}

async function ended(worker: Worker): Promise<void> {
  if (worker.threadId === -1) return
  worker.ref()
  await once(worker, 'exit')
}

function failureOf(message: FromKeeper): RamcacheError {
  const { code, message: text } =
    message.kind === 'failed' ? message : { code: undefined, message: message.kind }
  return new RamcacheError((code ?? 'ERR_RAMCACHE_UNAVAILABLE') as RamcacheError['code'], text)
}
