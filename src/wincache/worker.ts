/** The thread that has the store open, so that another one can wait for it: one call at a time, answered through a port. */
import { type MessagePort, workerData } from 'node:worker_threads'
import { RamcacheError } from '../index.ts'
import { openHandlers } from './handlers.ts'
import { type Answer, isAnswered, type Request, type WincacheThreadData } from './messages.ts'

const { port, word, options } = workerData as WincacheThreadData

function answer(what: Answer): void {
  // The message before the word: whoever is woken finds it.
  port.postMessage(what)
  Atomics.store(word, 0, isAnswered)
  Atomics.notify(word, 0)
}

function failure(error: unknown): Answer {
  const { code, message } = error as { code?: unknown; message?: unknown }
  return {
    isStore: error instanceof RamcacheError,
    code: typeof code === 'string' ? code : undefined,
    message: typeof message === 'string' ? message : String(error),
  }
}

// Nobody may wait for a thread that has ended.
process.on('uncaughtException', (error) => {
  answer(failure(error))
  throw error
})

const opened = openHandlers(options)
opened.catch(() => {})

async function run({ name, args }: Request): Promise<void> {
  try {
    const handlers = (await opened) as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>
    const value = await (handlers[name] as (...args: unknown[]) => Promise<unknown>)(...args)
    answer({ value })
  } catch (error) {
    answer(failure(error))
  }
  if (name === 'close') (port as MessagePort).close()
}

port.on('message', (request: Request) => void run(request))
