/** A daemon for the clients of others, and its restart under their eyes. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DaemonProcess, type Ended } from '../daemon/support.ts'

export class Served {
  readonly folder: string
  #daemon: DaemonProcess

  static async start(): Promise<Served> {
    const folder = mkdtempSync(join(tmpdir(), 'ramcache-'))
    return new Served(folder, await serve(folder))
  }

  private constructor(folder: string, daemon: DaemonProcess) {
    this.folder = folder
    this.#daemon = daemon
  }

  get socket(): string {
    return this.#daemon.socket
  }

  async stop(): Promise<void> {
    await this.#daemon.end('SIGTERM')
  }

  /** Starts it again on what it left. */
  async start(): Promise<void> {
    this.#daemon = await serve(this.folder)
  }

  async end(): Promise<void> {
    await this.stop()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

function serve(folder: string): Promise<DaemonProcess> {
  return DaemonProcess.start(['--dir', join(folder, 'store'), '--memory', '16mb'])
}

/** Runs a program of the system to its end. One that is not there is a failure that says where it comes from. */
export function runProgram(
  program: string,
  args: readonly string[],
  { from, input = '' }: { readonly from: string; readonly input?: string },
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args)
    const ended = { stdout: '', stderr: '' }
    child.once('error', () => {
      reject(new Error(`${program} is not installed; on Debian: apt-get install ${from}`))
    })
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => {
        ended[name] += text
      })
    }
    child.once('close', (code) => resolve({ code, ...ended }))
    // A program that ends without reading is judged by how it ends.
    child.stdin.on('error', () => {})
    child.stdin.end(input)
  })
}
