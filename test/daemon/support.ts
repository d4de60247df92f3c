/** Daemons as a user starts them, and words with them over their socket. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs the command line to its end. */
export async function cli(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  const child = spawn(process.execPath, [main, ...args], { env: { ...process.env, ...env } })
  const collected = collect(child)
  child.stdin.end()
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, ...collected }
}

function collect(child: ChildProcess): { stdout: string; stderr: string } {
  const collected = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      collected[name] += text
    })
  }
  return collected
}

export class DaemonProcess {
  readonly process: ChildProcess
  readonly socket: string
  readonly #said: { stderr: string }

  /** Resolves when it has said that it is ready; rejects with what it said instead. */
  static async start(args: readonly string[], env: Record<string, string> = {}): Promise<DaemonProcess> {
    const child = spawn(process.execPath, [main, 'serve', ...args], { env: { ...process.env, ...env } })
    const said = { stderr: '' }
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said.stderr += text
    })
    for await (const line of createInterface(child.stdout)) {
      const [, socket] = /^ready unix:\/\/(.+)$/.exec(line) ?? []
      if (socket !== undefined) return new DaemonProcess(child, socket, said)
    }
    throw new Error(`the daemon ended: ${said.stderr}`)
  }

  private constructor(child: ChildProcess, socket: string, said: { stderr: string }) {
    this.process = child
    this.socket = socket
    this.#said = said
  }

  /** Resolves when it has written something like that to stderr, with all of it. */
  async says(pattern: RegExp): Promise<string> {
    const gone = once(this.process, 'close').then(() => {
      throw new Error(`the daemon ended: ${this.#said.stderr}`)
    })
    gone.catch(() => {})
    while (!pattern.test(this.#said.stderr)) {
      await Promise.race([once(this.process.stderr as NodeJS.ReadableStream, 'data'), gone])
    }
    return this.#said.stderr
  }

  /** Sends inline commands, one a line, and reads the answers to the end of the connection. */
  async talk(...commands: readonly string[]): Promise<string> {
    const socket = connect(this.socket)
    socket.setEncoding('utf8')
    await once(socket, 'connect')
    socket.write(`${[...commands, 'QUIT'].join('\r\n')}\r\n`)
    let answers = ''
    for await (const part of socket) answers += part
    return answers
  }

  /** Resolves to its exit code when it has ended by itself. */
  async ended(): Promise<number | null> {
    const { exitCode, signalCode } = this.process
    if (exitCode === null && signalCode === null) await once(this.process, 'exit')
    return this.process.exitCode
  }

  async end(signal: NodeJS.Signals): Promise<number | null> {
    const { exitCode, signalCode } = this.process
    if (exitCode !== null || signalCode !== null) return exitCode
    const exited = once(this.process, 'exit')
    this.process.kill(signal)
    const [code] = (await exited) as [number | null]
    return code
  }
}

/** Where a daemon listens over TCP, as it says itself. */
export async function portOf(daemon: DaemonProcess): Promise<number> {
  const [, port] = /tcp on \S+:(\d+)/.exec(await daemon.says(/tcp on \S+:\d+/)) ?? []
  return Number(port)
}
