/** Processes that call functions of WinCache. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { WincacheOptions } from '../../src/wincache.ts'

interface Answer {
  readonly id: number
  readonly value?: unknown
  readonly message?: string
}

export class Caller {
  readonly process: ChildProcess
  readonly #waiting = new Map<number, (answer: Answer) => void>()
  #id = 0

  static async start(options: WincacheOptions): Promise<Caller> {
    const path = fileURLToPath(new URL('children/caller.mjs', import.meta.url))
    const child = fork(path, [], { stdio: ['ignore', 'inherit', 'ignore', 'ipc'], serialization: 'advanced' })
    const caller = new Caller(child)
    await new Promise((resolve) => caller.#waiting.set(-1, resolve))
    await caller.call('openSync', options)
    return caller
  }

  private constructor(process: ChildProcess) {
    this.process = process
    process.on('message', (answer: Answer) => {
      this.#waiting.get(answer.id)?.(answer)
      this.#waiting.delete(answer.id)
    })
    process.on('exit', (code, signal) => {
      for (const [id, answer] of this.#waiting) answer({ id, message: `the caller ended: ${code ?? signal}` })
    })
  }

  async call(name: string, ...args: unknown[]): Promise<unknown> {
    const id = this.#id++
    const answered = new Promise<Answer>((resolve) => this.#waiting.set(id, resolve))
    this.process.send([id, name, ...args])
    const { value, message } = await answered
    if (message !== undefined) throw new Error(message)
    return value
  }

  /** Ends by itself, as a program does. */
  async end(): Promise<void> {
    const gone = once(this.process, 'exit')
    await this.call('end')
    await gone
  }

  async kill(): Promise<void> {
    const { exitCode, signalCode } = this.process
    if (exitCode !== null || signalCode !== null) return
    const gone = once(this.process, 'exit')
    this.process.kill('SIGKILL')
    await gone
  }
}
