/** What a killed owner leaves: the doctor says so, and brings all of it to disk. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { COMMANDS } from '../../src/cli/run.ts'
import { readOwnerFile } from '../../src/keep/arena-files.ts'
import { doctor } from '../../src/keep/doctor.ts'
import { runCli } from '../cli/support.ts'
import { testFolder } from '../support/folders.ts'
import { openAt } from './values.ts'

/** Of the superblock; `docs/FORMAT.md`. */
const bucketCountWord = 16

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

it('of another directory is named and left alone, until that directory is opened', async () => {
  const [dead, other] = [join(testFolder(), 'dead'), join(testFolder(), 'other')]
  const last = await killedOwner(dead)
  const { data, touch } = readOwnerFile(dead) as { data: string; touch: string }
  await (await openAt(other)).close()
  const strayIn = async (recover: boolean) => {
    const { findings, isHealthy } = await doctor(other, { recover })
    expect(isHealthy).toBe(true)
    return findings.find(({ code }) => code === 'stray-arena')?.files ?? []
  }
  expect(await strayIn(false)).toEqual(expect.arrayContaining([data, touch]))
  const { stdout } = await runCli(['doctor', '-d', other], {}, COMMANDS)
  expect(stdout).toMatch(/^notice stray-arena: .*\n.*takes it over.*\n {4}\/dev\/shm\/ramcache-/m)
  // Also when it is told to mend what it can: it may be all there is of somebody's writes.
  expect(await strayIn(true)).toEqual(expect.arrayContaining([data, touch]))
  expect([existsSync(data), existsSync(touch)]).toEqual([true, true])
  expect(await keysIn(dead)).toBeGreaterThan(last)
  expect(await strayIn(false)).not.toContain(data)
})

it('that had closed its store, but for the files of its memory, is cleaned up by recover', async () => {
  const [dead, other] = [join(testFolder(), 'dead'), join(testFolder(), 'other')]
  await killedOwner(dead)
  const { data, touch } = readOwnerFile(dead) as { data: string; touch: string }
  // The last that an owner does before it removes them: no buckets, which tells every reader.
  const file = openSync(data, 'r+')
  writeSync(file, Buffer.alloc(8), 0, 8, bucketCountWord * 8)
  closeSync(file)
  await (await openAt(other)).close()
  const before = await doctor(other)
  expect(before.findings.find(({ code }) => code === 'closed-arena')?.files).toEqual(
    expect.arrayContaining([data, touch]),
  )
  expect(existsSync(data)).toBe(true)
  const after = await doctor(other, { recover: true })
  expect(after.done.join()).toContain(data)
  expect([existsSync(data), existsSync(touch)]).toEqual([false, false])
})
