/** What a killed owner leaves: the doctor says so, and brings all of it to disk. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { COMMANDS } from '../../src/cli/run.ts'
import { readOwnerFile } from '../../src/keep/arena-files.ts'
import { doctor } from '../../src/keep/doctor.ts'
import { runCli } from '../cli/support.ts'
import { testFolder } from '../support/folders.ts'
import { openAt } from './values.ts'

/** The number of the last key that was acknowledged for sure. */
async function killedOwner(dir: string): Promise<number> {
  const path = fileURLToPath(new URL('children/writer.mjs', import.meta.url))
  const child = spawn(process.execPath, [path, dir], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  for await (const piece of child.stdout) {
    output += piece
    if (output.split('\n').length > 60) break
  }
  child.kill('SIGKILL')
  await once(child, 'exit')
  return Number(output.trim().split('\n').at(-2))
}

async function keysIn(dir: string): Promise<number> {
  const cache = await openAt(dir, { memory: '1mb' })
  let count = 0
  for await (const _ of cache.scan()) count++
  await cache.close()
  return count
}

it('is taken over and closed by recover, with every acknowledged write', async () => {
  const dir = join(testFolder(), 'store')
  const last = await killedOwner(dir)
  const { data } = readOwnerFile(dir) as { data: string }
  expect(existsSync(data)).toBe(true)
  const before = await doctor(dir)
  expect(before.isHealthy).toBe(false)
  expect(before.findings.find(({ code }) => code === 'dead-owner')?.files).toContain(data)
  // Looking changes nothing.
  expect(existsSync(data)).toBe(true)
  const after = await doctor(dir, { recover: true })
  expect(after.findings.filter(({ level }) => level === 'problem')).toEqual([])
  expect(after.done.join()).toMatch(/took over the memory that process \d+ had left/)
  expect(existsSync(data)).toBe(false)
  expect(existsSync(join(dir, 'owner'))).toBe(false)
  expect(await keysIn(dir)).toBeGreaterThan(last)
})

it('is exported by the command line too, whatever memory it is given', async () => {
  const dir = join(testFolder(), 'store')
  const last = await killedOwner(dir)
  // A budget that the arena left behind would not serve.
  const { exitCode, stdout, stderr } = await runCli(['export', '-d', dir, '--memory', '1gb'], {}, COMMANDS)
  expect(exitCode).toBe(0)
  expect(stderr).toMatch(/taking over the memory that a process has left/)
  expect(stdout.split('\n').filter((line) => line.includes('"key":')).length).toBeGreaterThan(last)
})
