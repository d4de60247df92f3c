/** Child processes of tests, driven by messages. They run the built package: Node 20 cannot load TypeScript. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

export interface Answer {
  readonly value?: unknown
  readonly code?: string
  readonly message?: string
}

export class OwnerProcess {
  readonly process: ChildProcess
  /** What the child said first: `{ value: 'ready' }`, or why it could not open the store. */
  readonly first: Answer

  private constructor(process: ChildProcess, first: Answer) {
    this.process = process
    this.first = first
  }

  static async start(...args: string[]): Promise<OwnerProcess> {
    const path = fileURLToPath(new URL('../cross-process/children/owner.mjs', import.meta.url))
    const child = fork(path, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    return new OwnerProcess(child, await nextMessage(child))
  }

  get isRunning(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null
  }

  /** Calls a method of the child's cache. */
  async call(method: string, ...args: unknown[]): Promise<Answer> {
    const answer = nextMessage(this.process)
    this.process.send([method, ...args])
    return answer
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    const ended = once(this.process, 'exit')
    this.process.kill(signal)
    await ended
  }
}

async function nextMessage(child: ChildProcess): Promise<Answer> {
  const aborter = new AbortController()
  const exit = once(child, 'exit', aborter).then(([code]) => ({
    message: `the child ended with code ${code}`,
  }))
  exit.catch(() => {})
  try {
    const message = once(child, 'message', aborter).then(([answer]) => answer as Answer)
    message.catch(() => {})
    return await Promise.race([message, exit])
  } finally {
    aborter.abort()
  }
}
