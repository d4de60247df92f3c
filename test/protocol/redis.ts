/** A real Redis to compare with. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'

export interface Redis {
  readonly socket: string
  end(): Promise<void>
}

/** Debian's `redis-server`, on a socket of its own, keeping nothing. */
export async function startRedis(): Promise<Redis> {
  const dir = mkdtempSync(join(tmpdir(), 'redis-'))
  const socket = join(dir, 'redis.sock')
  const args = ['--port', '0', '--unixsocket', socket, '--save', '', '--dir', dir]
  const child: ChildProcess = spawn('redis-server', args, { stdio: 'ignore' })
  await new Promise((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', reject)
  })
  while (!existsSync(socket)) {
    if (child.exitCode !== null) throw new Error(`redis-server ended with ${child.exitCode}`)
    await wait(10)
  }
  return {
    socket,
    end: async () => {
      const ended = once(child, 'exit')
      child.kill()
      await ended
      rmSync(dir, { recursive: true, force: true })
    },
  }
}
