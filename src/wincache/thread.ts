/**
 * Waits for the thread that has the store open. WinCache's functions return what they found, and a store answers with
 * promises: so the store lives in a thread of its own, whose event loop goes on (it renews locks, serves other processes)
 * while this one stands still.
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads'
import { type ErrorCode, RamcacheError } from '../base/errors.ts'
import type { WincacheOptions } from '../config/wincache-options.ts'
import {
  type ValidatedWincache,
  validateWincache,
  wincacheFromEnvironment,
} from '../config/wincache-options.ts'
import { forgetWarnings } from './arguments.ts'
import type { Handlers } from './handlers.ts'
import { type Answer, isAnswered, type WincacheThreadData } from './messages.ts'

class Thread {
  readonly options: ValidatedWincache
  readonly #worker: Worker
  readonly #port: MessagePort
  readonly #word = new Int32Array(new SharedArrayBuffer(4))

  constructor(options: ValidatedWincache) {
    this.options = options
    const { port1, port2 } = new MessageChannel()
    this.#port = port1
    const workerData: WincacheThreadData = { port: port2, word: this.#word, options }
    const isSource = import.meta.url.endsWith('.ts')
    // Node cannot run the source tree in a thread: there the built one is taken.
    const url = new URL(isSource ? '../../dist/wincache/worker.js' : './worker.js', import.meta.url)
    this.#worker = new Worker(url, {
      workerData,
      transferList: [port2],
      execArgv: [],
      name: 'ramcache wincache',
    })
    this.#worker.unref()
  }

  call<K extends keyof Handlers>(
    name: K,
    ...args: Parameters<Handlers[K]>
  ): Awaited<ReturnType<Handlers[K]>> {
    Atomics.store(this.#word, 0, 0)
    this.#port.postMessage({ name, args })
    // Whoever is woken looks again: it may have been for the answer before.
    while (Atomics.load(this.#word, 0) !== isAnswered) Atomics.wait(this.#word, 0, 0)
    const answer = receiveMessageOnPort(this.#port)?.message as Answer
    if (answer.message === undefined) return answer.value as Awaited<ReturnType<Handlers[K]>>
    throw errorOf(answer)
  }

  end(): void {
    this.#port.close()
    this.#worker.terminate()
  }
}

function errorOf({ isStore, code, message }: Exclude<Answer, { message?: undefined }>): Error {
  if (isStore) return new RamcacheError(code as ErrorCode, message)
  return Object.assign(new Error(message), code === undefined ? {} : { code })
}

let current: Thread | undefined

/** The store everything works with; what the environment names when `openSync` was not called. */
export function thread(): Thread {
  current ??= start(wincacheFromEnvironment())
  return current
}

/**
 * Opens the store that the functions work with, or joins the process that has it open; with `socket` as its client. Returns when
 * that is done. Another one that was open is closed first.
 *
 * Throws ERR_RAMCACHE_CONFIG for bad options, and what `open()` and `connect()` reject with.
 */
export function openSync(options: WincacheOptions): void {
  const validated = validateWincache(options)
  closeSync()
  forgetWarnings()
  current = start(validated)
}

/** Releases this thread's locks and closes the store; done by itself when the process ends other than by a signal. */
export function closeSync(): void {
  const open = current
  current = undefined
  if (open === undefined) return
  process.removeListener('exit', closeSync)
  open.call('close')
}

function start(options: ValidatedWincache): Thread {
  const started = new Thread(options)
  try {
    started.call('ready')
  } catch (error) {
    started.end()
    throw error
  }
  process.once('exit', closeSync)
  return started
}
