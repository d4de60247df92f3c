/** The socket server of an owner: where it listens, its start and its end. Its threads are native. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, lstatSync, mkdirSync, realpathSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Worker } from 'node:worker_threads'
import { systemClock } from '../base/clock.ts'
import { RamcacheError } from '../base/errors.ts'
import { version } from '../base/version.ts'
import { type InternalOptions, socketBytesMax, type ValidatedNamespace } from '../config/open-options.ts'
import { binding, type NativeHandle, translate } from '../native/binding.ts'
import type { ControlThreadData } from './messages.ts'
import { startThread } from './threads.ts'

export interface ServerOptions {
  readonly dir: string
  /** `undefined`: `ramcache.sock` in the directory of the store. */
  readonly path: string | undefined
  readonly namespaces: Readonly<Record<string, ValidatedNamespace>>
  readonly internal: InternalOptions | undefined
}

/** How long commands that have begun may take when the store is closed. */
const graceMs = 5000
/** More threads than this gain nothing: they share the locks of one store. */
const threadsMost = 4
/** Longer than a busy client takes between two commands, far shorter than anybody notices. */
const spinUs = 20

/** The threads that answer what takes JavaScript, by the directory of their store; those that this thread has started. */
const controls = new Map<string, ControlThread>()

/** Listens, unless another thread of this process does for the same store. Throws CONFIG and UNAVAILABLE. */
export function startServer(handle: NativeHandle, options: ServerOptions): void {
  if (binding().serverPath(handle) !== null) return
  const { dir, path, namespaces, internal } = options
  const processors = availableParallelism()
  const { serverLimits: limits, tcp } = internal ?? {}
  const { onShutdown } = internal ?? {}
  const isDaemon = internal?.isDaemon ?? false
  let isStarted: boolean
  try {
    isStarted = binding().startServer(handle, {
      path: path ?? usualPath(dir),
      dir: realpathSync(dir),
      version,
      isDaemon,
      threads: internal?.serverThreads ?? (processors <= 2 ? 1 : Math.min(threadsMost, processors >> 1)),
      // Where there is no processor to spare, who looks for work keeps others from theirs.
      spinUs: internal?.serverSpinUs ?? (processors <= 2 ? 0 : spinUs),
      namespaces: Object.entries(namespaces).map(([name, { ttlMs, durability }]) => ({
        name,
        ...(ttlMs === undefined ? {} : { ttlMs }),
        ...(durability === undefined ? {} : { durability }),
      })),
      ...(limits === undefined ? {} : { limits: { ...limits } }),
      ...(tcp === undefined ? {} : { tcp: { ...tcp } }),
    })
  } catch (error) {
    translate(error)
  }
  if (!isStarted) return
  const data = {
    dir: resolve(dir),
    namespaces: { ...namespaces },
    isDaemon,
    canEnd: onShutdown !== undefined,
    startedMs: systemClock.nowMs(),
  }
  controls.set(resolve(dir), new ControlThread(handle, data, onShutdown))
}

/** Tells other processes so, that they do not wait for a server. */
export function letNobodyJoin(handle: NativeHandle): void {
  try {
    binding().letNobodyJoin(handle)
  } catch (error) {
    translate(error)
  }
}

/** Ends the server of a store, if it has one: no more commands; those that have begun are answered. */
export async function stopServer(handle: NativeHandle, dir: string): Promise<void> {
  if (binding().serverPath(handle) === null) return
  const path = resolve(dir)
  const control = controls.get(path)
  controls.delete(path)
  await new Promise<void>((done) => binding().stopServer(handle, graceMs, done))
  await control?.stop()
}

/** Started by the first request; when it ends by itself, which is a fault, by the next one after that. */
class ControlThread {
  readonly #handle: NativeHandle
  readonly #data: ControlThreadData
  readonly #onShutdown: (() => void) | undefined
  #worker: Worker | undefined
  #isStopping = false

  constructor(handle: NativeHandle, data: ControlThreadData, onShutdown: (() => void) | undefined) {
    this.#handle = handle
    this.#data = data
    this.#onShutdown = onShutdown
    this.#listen()
  }

  /** Until the thread listens itself. */
  #listen(): void {
    binding().listenRequests(this.#handle, () => this.#start())
  }

  #start(): void {
    if (this.#worker !== undefined || this.#isStopping) return
    const worker = startThread('../server/worker', this.#data)
    this.#worker = worker
    worker.on('message', () => this.#onShutdown?.())
    worker.once('error', (error) => {
      process.emitWarning(`the thread that answers clients failed: ${error.message}`, 'RamcacheWarning')
    })
    worker.once('exit', () => {
      this.#worker = undefined
      if (this.#isStopping) return
      // Who waits for it is told, and the next request starts another one.
      binding().failRequests(this.#handle)
      this.#listen()
    })
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    const worker = this.#worker
    if (worker === undefined) return
    const ended = once(worker, 'exit')
    worker.ref()
    worker.postMessage('stop')
    await ended
  }
}

/** In the directory of the store, or in one of this user's own when that path is too long for a socket. */
function usualPath(dir: string): string {
  const path = join(resolve(dir), 'ramcache.sock')
  if (Buffer.byteLength(path) <= socketBytesMax) return path
  const short = join(tmpdir(), `ramcache-${process.getuid?.() ?? 0}`)
  mkdirSync(short, { recursive: true, mode: 0o700 })
  const found = lstatSync(short)
  if (!found.isDirectory() || found.uid !== process.getuid?.()) {
    const message = `${short}, where the socket is to be, is not a directory of this user`
    throw new RamcacheError('ERR_RAMCACHE_UNAVAILABLE', message)
  }
  chmodSync(short, 0o700)
  const name = createHash('sha256').update(realpathSync(dir)).digest('hex').slice(0, 16)
  return join(short, `${name}.sock`)
}
