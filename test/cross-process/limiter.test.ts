/** One limiter, asked by eight processes as fast as they can. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { open } from '../../src/index.ts'
import { Host } from '../support/hosts.ts'

const ramOnly = { tiers: { ssd: false as const }, memory: '8mb' }
const windowMs = 400

interface Answer {
  readonly admitted: readonly (readonly [asked: number, answered: number])[]
  readonly denied: number
}

it('eight processes are never admitted more than the limit', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'ramcache-'))
  const path = fileURLToPath(new URL('children/limited.mjs', import.meta.url))
  const children: ChildProcess[] = []
  const limit = 50
  try {
    for (let number = 0; number < 8; number++) {
      const args = [dir, '2000', JSON.stringify(ramOnly), JSON.stringify({ limit, window: windowMs })]
      const child = fork(path, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
      children.push(child)
      await once(child, 'message')
    }
    const answers = children.map((child) => once(child, 'message'))
    for (const child of children) child.send('go')
    const all = (await Promise.all(answers)).map(([answer]) => answer as Answer)
    const admitted = all.flatMap((answer) => answer.admitted)
    // Several windows were full.
    expect(admitted.length).toBeGreaterThan(2 * limit)
    expect(all.reduce((sum, { denied }) => sum + denied, 0)).toBeGreaterThan(0)
    // It was admitted somewhere between the two: those of which both lie in a window were admitted in it.
    for (const [start] of admitted) {
      const inside = admitted.filter(
        ([asked, answered]) => asked >= start && answered < start + windowMs,
      ).length
      expect(inside).toBeLessThanOrEqual(limit)
    }
  } finally {
    for (const child of children) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      const exit = once(child, 'exit')
      child.kill('SIGKILL')
      await exit
    }
    const cache = await open({ dir, ...ramOnly, listen: false })
    await cache.close()
    rmSync(dir, { recursive: true, force: true })
  }
})

it('what was counted outlives the owner of the store', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'ramcache-'))
  const owner = new Host()
  await owner.run('open', dir, ramOnly)
  const cache = await open({ dir, ...ramOnly })
  try {
    const limiter = cache.limiter('api', { limit: 5, window: '1h' })
    expect((await limiter.consume('k', 4)).allowed).toBe(true)
    await owner.end('SIGKILL')
    expect(await limiter.get('k')).toMatchObject({ consumed: 4, remaining: 1 })
    expect((await limiter.consume('k', 2)).allowed).toBe(false)
    expect((await limiter.consume('k')).allowed).toBe(true)
  } finally {
    await cache.close()
    await owner.end()
    rmSync(dir, { recursive: true, force: true })
  }
})
