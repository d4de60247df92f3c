/** The tiers below RAM of an owner: the threads that keep them, from start to stop. */
import { once } from 'node:events'
import { resolve } from 'node:path'
import type { Worker } from 'node:worker_threads'
import { RamcacheError } from '../base/errors.ts'
import type { ValidatedTier } from '../config/open-options.ts'
import { binding, type NativeHandle } from '../native/binding.ts'
import { blobsNamespace, structuresNamespace } from '../native/engine.ts'
import type { FromKeeper, Serve, Stop, TierThreadData } from './messages.ts'
import { stopServer } from './server.ts'
import { standIn } from './stand-in.ts'
import { startThread } from './threads.ts'

/** Changes are on disk this long after they were made, at the latest. */
const syncIntervalMs = 1000
/** Files of the value log, unless the SSD tier is to be small. */
const fileBytesMost = 64 * 1024 * 1024
/** What a full disk leaves for deletes and for drains is two files, and some commits of the index. */
const indexReserveBytes = 2 * 1024 * 1024
const fileBytesLeast = 1024 * 1024
/** A budget of the SSD tier is at least so many files. */
const filesLeast = 16
/** Threads that answer cold reads: one waits for the disk while the other looks at the index. */
const readerCount = 2

/** What starting and stopping needs of the engine. */
export interface TieredEngine {
  readonly native: NativeHandle
  /** Counts it out; whether it was the last one in this process. */
  leave(): boolean
  recall(namespace: string, key: string): Promise<void>
}

/** Where the tiers are, and how large. */
export interface TierOptions {
  readonly dir: string
  readonly ssd: ValidatedTier
  readonly hdd: ValidatedTier | undefined
  /** Default: by the budget of the SSD tier. */
  readonly fileBytes: number | undefined
  /** What was in RAM comes up again after a start. */
  readonly warms: boolean
}

function fileBytesFor(budgetBytes = Number.POSITIVE_INFINITY): number {
  const share = Math.floor(budgetBytes / filesLeast / fileBytesLeast) * fileBytesLeast
  return Math.min(fileBytesMost, Math.max(fileBytesLeast, share))
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
export async function startTiers(engine: TieredEngine, options: TierOptions): Promise<void> {
  const { dir } = options
  const path = resolve(dir)
  let tiers = running.get(path)
  if (tiers === undefined) {
    // Another thread's.
    if (binding().hasTiers(engine.native)) return
    tiers = Tiers.start(engine, options)
    running.set(path, tiers)
    tiers.catch(() => running.delete(path))
  }
  await tiers
}

/**
 * Counts a user of the store out. With the last one of the process the server answers what it has begun; then the tiers
 * take no more writes, bring what was written to disk and end. Rejects with what the log failed with.
 */
export async function leaveTiers(engine: TieredEngine, dir: string): Promise<void> {
  // At once: of two that close at a time one is the last.
  if (!engine.leave()) return
  const path = resolve(dir)
  const tiers = running.get(path)
  running.delete(path)
  const stopped = stopAll(engine, dir, tiers)
  stopping.set(path, stopped)
  try {
    await stopped
  } finally {
    stopping.delete(path)
  }
}

async function stopAll(engine: TieredEngine, dir: string, tiers: Promise<Tiers> | undefined): Promise<void> {
  await stopServer(engine.native, dir)
  await (await tiers)?.stop()
}

class Tiers {
  readonly #keeper: Worker
  readonly #readers: Worker[]
  readonly #native: NativeHandle
  #isStopping = false
  /** Ends what answers for a keeper that is gone. */
  #release: (() => void) | undefined

  static async start(engine: TieredEngine, { dir, ssd, hdd, fileBytes, warms }: TierOptions): Promise<Tiers> {
    const wholeBytes = fileBytes ?? fileBytesFor(ssd.budgetBytes)
    const data: TierThreadData = {
      dir,
      ssdDir: ssd.path,
      ssdFloorBytes: ssd.floorBytes,
      ssdBudgetBytes: ssd.budgetBytes,
      // Threads may have another working directory one day, and the mark of the tier names it.
      hddDir: hdd && resolve(hdd.path),
      hddFloorBytes: hdd?.floorBytes,
      hddBudgetBytes: hdd?.budgetBytes,
      ssdIoBudget: ssd.ioBudget,
      hddIoBudget: hdd?.ioBudget,
      warms,
      pinnedNamespaces: [structuresNamespace, blobsNamespace],
      syncIntervalMs,
      fileBytes: wholeBytes,
      reserveBytes: 2 * wholeBytes + indexReserveBytes,
    }
    const keeper = startThread('index-worker', data)
    const { native } = engine
    // They load their code meanwhile.
    const readers = Array.from({ length: readerCount }, () => startThread('reader-worker', data))
    const started = await firstMessage(keeper)
    if (started.kind !== 'started') {
      await Promise.all([ended(keeper), ...readers.map((reader) => reader.terminate())])
      throw failureOf(started)
    }
    // Only now: readers look at an index that is there.
    const serve: Serve = { kind: 'serve' }
    const serving = Promise.all(readers.map(firstMessage))
    // Heard below; one that fails meanwhile is no surprise of the process.
    serving.catch(() => {})
    for (const reader of readers) reader.postMessage(serve)
    for (const { namespace, key } of started.pinned) await engine.recall(namespace, key)
    const tiers = new Tiers(keeper, readers, native, data)
    try {
      await serving
    } catch (error) {
      await tiers.stop().catch(() => {})
      throw error
    }
    // What was lost or made again: the store goes on, but somebody should look at the disk.
    for (const warning of started.warnings) process.emitWarning(warning, 'RamcacheWarning')
    return tiers
  }

  private constructor(keeper: Worker, readers: Worker[], native: NativeHandle, data: TierThreadData) {
    this.#keeper = keeper
    this.#readers = readers
    this.#native = native
    let why = 'it was ended'
    keeper.on('error', (error: Error) => {
      why = error.message
    })
    keeper.once('exit', () => {
      if (!this.#isStopping) this.#replaceKeeper(data, why)
    })
    // What a reader fails with it has told those who asked; the other one goes on.
    for (const reader of readers) {
      reader.on('error', (error: Error) => {
        process.emitWarning(`a thread that answers cold reads has ended: ${error.message}`, 'RamcacheWarning')
      })
    }
  }

  #replaceKeeper({ dir, hddDir }: TierThreadData, why: string): void {
    const message = `the thread that keeps the index of ${dir} has ended: ${why}; close the store and open it again`
    process.emitWarning(message, 'RamcacheWarning')
    this.#release = standIn(dir, message)
    // The thread of the HDD tier was its own, and ends with it.
    if (hddDir !== undefined) binding().failBelow(this.#native, message)
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    if (this.#release !== undefined) {
      // The log takes what is left; the index is brought up to it by the next start.
      this.#release()
      binding().stopBelow(this.#native)
      await Promise.all(this.#readers.map(ended))
      return
    }
    const stop: Stop = { kind: 'stop' }
    const answered = firstMessage(this.#keeper)
    this.#keeper.postMessage(stop)
    const stopped = await answered
    await Promise.all([this.#keeper, ...this.#readers].map(ended))
    if (stopped.kind === 'failed') throw failureOf(stopped)
  }
}

/** Rejects when the thread ends without one. */
async function firstMessage<T = FromKeeper>(worker: Worker): Promise<T> {
  const gone = (code: unknown): RamcacheError => {
    const text = `a thread of the tiers has ended with ${code} before it could begin or end its work`
    return new RamcacheError('ERR_RAMCACHE_UNAVAILABLE', text)
  }
  if (worker.threadId === -1) throw gone('no word')
  worker.ref()
  const listening = new AbortController()
  const { signal } = listening
  const message = once(worker, 'message', { signal }).then(([first]) => first as T)
  const exit = once(worker, 'exit', { signal }).then(([code]) => {
    throw gone(code)
  })
  try {
    return await Promise.race([message, exit])
  } finally {
    for (const unheard of [message, exit]) unheard.catch(() => {})
    listening.abort()
    worker.unref()
  }
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
