/** An owner that is killed while a checkpoint is made of sorted runs. */
import { readdirSync, readlinkSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { open } from '../../src/index.ts'
import { testFolder } from '../support/folders.ts'
import { Child, removeArena } from './support.ts'

/** Whether a process has a file without a name open below a folder: the runs. */
function hasRuns(pid: number, folder: string): boolean {
  const fds = `/proc/${pid}/fd`
  return readdirSync(fds).some((fd) => {
    try {
      const path = readlinkSync(join(fds, fd))
      return path.startsWith(folder) && path.endsWith(' (deleted)')
    } catch {
      // Closed since.
      return false
    }
  })
}

it('everything flushed is there, the runs are gone', { timeout: 120_000 }, async () => {
  const dir = realpathSync(testFolder())
  const child = new Child('checkpoint', [dir])
  await child.until((output) => output.includes('\n'))
  const log = join(dir, 'ssd', 'log')
  while (!hasRuns(child.process.pid as number, log)) await new Promise(setImmediate)
  await child.kill()
  const flushed = Number(child.output.trim().split('\n').at(-1))
  // What was in memory comes from the disk.
  removeArena(dir)
  const cache = await open({ dir, memory: '16mb' })
  onTestFinished(() => cache.close())
  expect(readdirSync(log).filter((name) => !/^[0-9a-f]{8}\.log$|^reserve$/.test(name))).toEqual([])
  let wrong = 0
  for (let from = 0; from < flushed; from += 1000) {
    const numbers = Array.from({ length: Math.min(1000, flushed - from) }, (_, n) => from + n)
    const values = await Promise.all(numbers.map((number) => cache.get(`key:${number}`)))
    wrong += values.filter((value, n) => value !== numbers[n]).length
  }
  expect({ flushed: flushed > 10_000, wrong }).toEqual({ flushed: true, wrong: 0 })
})
