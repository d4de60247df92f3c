/** Stores that another process owns, and caches of this one over them: what `Placement` is, but remote. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ErrorCode } from '../../src/base/errors.ts'
import { RamcacheError } from '../../src/base/errors.ts'
import type { Cache, OpenOptions } from '../../src/index.ts'
import { connect, open } from '../../src/index.ts'
import type { Placement } from './stores.ts'

interface Answer {
  readonly id: number
  readonly value?: unknown
  readonly code?: string
  readonly message?: string
}

/** A process that owns stores. */
export class Host {
  readonly process: ChildProcess
  readonly #waiting = new Map<number, (answer: Answer) => void>()
  #id = 0

  constructor() {
    const path = fileURLToPath(new URL('../cross-process/children/host.mjs', import.meta.url))
    this.process = fork(path, [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.process.on('message', (answer: Answer) => {
      this.#waiting.get(answer.id)?.(answer)
      this.#waiting.delete(answer.id)
    })
    this.process.on('exit', (code, signal) => {
      for (const [id, answer] of this.#waiting) answer({ id, message: `the host ended: ${code ?? signal}` })
      this.#waiting.clear()
    })
  }

  /** Runs an action of `children/host.mjs`; rejects with what it failed with. */
  async run(what: string, dir: string, ...args: unknown[]): Promise<unknown> {
    const id = this.#id++
    const answered = new Promise<Answer>((resolve) => this.#waiting.set(id, resolve))
    this.process.send([id, what, dir, ...args])
    const { value, code, message } = await answered
    if (message === undefined) return value
    throw code === undefined ? new Error(message) : new RamcacheError(code as ErrorCode, message)
  }

  async end(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return
    const exit = once(this.process, 'exit')
    this.process.kill(signal)
    await exit
  }
}

export type OpenRemote = (dir: string, options: Partial<OpenOptions>) => Promise<Cache>

/** `open()` of a directory that is owned: it joins. Options that are the owner's may be others here. */
export const joining: OpenRemote = (dir, options) => {
  const { namespaces } = options
  return open({ dir, tiers: { ssd: false }, ...(namespaces === undefined ? {} : { namespaces }) })
}

export const connecting: OpenRemote = (dir) => connect(`unix://${join(dir, 'ramcache.sock')}`)

const password = 'open sesame'

/** Over TCP, as from another machine. */
export function overTcp(host: () => Host): OpenRemote {
  return async (dir) => connect(`redis://${await host().run('address', dir)}`, { password })
}

const tcp = { host: '127.0.0.1', port: 0, password }
const usual = { memory: '8mb', tiers: { ssd: false }, __internal: { clock: 'manual', warms: false, tcp } }

/** A way to open placements whose owner is another process. */
export function remotePlacement(host: () => Host, openRemote: OpenRemote) {
  const place = async (dir: string, options: Partial<OpenOptions>): Promise<Placement> => {
    await host().run('open', dir, { ...usual, ...options })
    const cache = await openRemote(dir, options)
    return {
      cache,
      dir,
      advance: async (ms) => {
        // What is on its way was done before.
        await cache.flush()
        await host().run('advance', dir, ms)
      },
      reopen: async () => {
        await cache.close()
        await host().run('close', dir)
        return place(dir, options)
      },
      chill: async () => {
        await host().run('chill', dir)
      },
      freeze: () => Promise.reject(new Error('not from here')),
      end: async () => {
        try {
          await host().run('check', dir)
        } finally {
          await cache.close()
          await host().run('close', dir)
          rmSync(dir, { recursive: true, force: true })
        }
      },
    }
  }
  return (options: Partial<OpenOptions> = {}) => place(mkdtempSync(join(tmpdir(), 'ramcache-')), options)
}
