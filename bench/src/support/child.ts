/** Child processes of the benchmarks: started with a role, `ready` when they say so, ended by closing their input. */
import { type ChildProcess, fork } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface Child {
  readonly process: ChildProcess
  /** Sends a request and waits for its answer. */
  ask(request: unknown): Promise<unknown>
  stop(): Promise<void>
}

/** `module` is relative to the compiled benchmarks. Resolves when the child has sent its first message. */
export async function startChild(module: string, args: string[]): Promise<Child> {
  const path = fileURLToPath(new URL(`../${module}`, import.meta.url))
  const child = fork(path, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const next = () =>
    new Promise<unknown>((resolve, reject) => {
      const onExit = (code: number | null) => reject(new Error(`${module} ended with code ${code}`))
      child.once('exit', onExit)
      child.once('message', (message) => {
        child.off('exit', onExit)
        resolve(message)
      })
    })
  await next()
  return {
    process: child,
    ask(request) {
      const answer = next()
      child.send(request as object)
      return answer
    },
    async stop() {
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.disconnect()
      await ended
    },
  }
}

export function temporaryDir(): string {
  return mkdtempSync(join(tmpdir(), 'ramcache-bench-'))
}

export function removeDir(dir: string): void {
  rmSync(dir, { recursive: true, force: true })
}
