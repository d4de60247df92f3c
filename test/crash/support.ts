/** Children that own a store and are killed. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

export class Child {
  readonly process: ChildProcess
  #output = ''
  #errors = ''
  #isEnded = false
  #notify: () => void = () => {}

  constructor(script: string, args: readonly string[], nodeOptions: readonly string[] = []) {
    const path = fileURLToPath(new URL(`children/${script}.mjs`, import.meta.url))
    this.process = spawn(process.execPath, [...nodeOptions, path, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.process.stdout?.on('data', (data) => {
      this.#output += data
      this.#notify()
    })
    this.process.stderr?.on('data', (data) => {
      this.#errors += data
    })
    this.process.on('close', () => {
      this.#isEnded = true
      this.#notify()
    })
    onTestFinished(() => {
      if (this.process.exitCode === null) this.process.kill('SIGKILL')
    })
  }

  get output(): string {
    return this.#output
  }

  /** Waits until the child has said enough. Throws what it wrote on its standard error when it ends before. */
  async until(isEnough: (output: string) => boolean): Promise<void> {
    while (!isEnough(this.#output)) {
      if (this.#isEnded) throw new Error(`the child ended: ${this.#output.slice(-200)}\n${this.#errors}`)
      await new Promise<void>((resolve) => {
        this.#notify = resolve
      })
    }
  }

  /** Kills it; it must not have ended by itself. */
  async kill(): Promise<void> {
    const ended = once(this.process, 'close')
    if (this.#isEnded || !this.process.kill('SIGKILL'))
      throw new Error(`the child ended by itself\n${this.#errors}`)
    const [code, signal] = await ended
    if (signal !== 'SIGKILL') throw new Error(`the child ended with ${code}\n${this.#errors}`)
  }

  /** Waits until it ends by itself, with code 0. */
  async end(): Promise<void> {
    if (!this.#isEnded) await once(this.process, 'close')
    const { exitCode, signalCode } = this.process
    if (exitCode !== 0) throw new Error(`the child ended with ${exitCode ?? signalCode}\n${this.#errors}`)
  }
}

export function dots(output: string): number {
  return output.length - output.replaceAll('.', '').length
}

/** Shared memory that the owner of a directory left. */
export function removeArena(dir: string): void {
  const path = join(dir, 'owner')
  if (!existsSync(path)) return
  const { data, touch } = JSON.parse(readFileSync(path, 'utf8'))
  for (const file of [data, touch]) if (file.startsWith('/dev/shm/')) rmSync(file, { force: true })
}
