/** After a start without an arena the keys that were in RAM come up by themselves, and nothing else does. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { expect, it, onTestFinished } from 'vitest'
import { type Cache, open } from '../../src/index.ts'
import { testFolder } from '../support/folders.ts'

const memory = '4mb'
const textOf = (number: number) => `${number}:`.padEnd(1000, '.')
const turn = () => new Promise((resolve) => setImmediate(resolve))

/** Waits until a condition holds; the test's own deadline ends it. */
async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await turn()
}

async function keysInRam(cache: Cache): Promise<Set<string>> {
  const inRam = new Set<string>()
  for await (const { key } of cache.scan({ tier: 'ram' })) inRam.add(key)
  return inRam
}

async function hasAll(cache: Cache, keys: readonly string[]): Promise<boolean> {
  const inRam = await keysInRam(cache)
  return keys.every((key) => inRam.has(key))
}

/** A store with more than RAM takes, of which 50 keys are read again and again, those that RAM had at its end; closed. */
async function filled(): Promise<{ dir: string; hot: string[] }> {
  const dir = testFolder()
  const cache = await open({ dir, memory })
  const hot = Array.from({ length: 50 }, (_, number) => `hot${number}`)
  for (const [number, key] of hot.entries()) await cache.set(key, textOf(number))
  for (let number = 0; number < 8000; number++) {
    await cache.set(`k${number}`, textOf(number))
    if (number % 100 === 0) for (const key of hot) await cache.get(key)
  }
  const inRam = await keysInRam(cache)
  await cache.close()
  const kept = hot.filter((key) => inRam.has(key))
  // One or the other may just have left.
  expect(kept.length).toBeGreaterThan(40)
  return { dir, hot: kept }
}

function warningsOf(): string[] {
  const warnings: string[] = []
  const listen = ({ message }: Error) => warnings.push(message)
  process.on('warning', listen)
  onTestFinished(() => void process.off('warning', listen))
  return warnings
}

it('what was hot is in RAM again, without being touched', async () => {
  const { dir, hot } = await filled()
  await using cache = await open({ dir, memory })
  while (!(await hasAll(cache, hot))) await turn()
  for (const key of hot) expect(cache.getSync(key)).toBe(textOf(Number(key.slice(3))))
  const { ram } = (await cache.stats()).tiers
  expect(ram.bytes + ram.overheadBytes).toBeLessThanOrEqual(ram.budgetBytes)
})

it('what was deleted since is not there, and what was written is not replaced', async () => {
  const { dir, hot } = await filled()
  const list = readFileSync(join(dir, 'ssd', 'hot'))
  const between = await open({ dir, memory })
  const [written] = hot.slice(25) as [string]
  for (const key of hot.slice(0, 25)) await between.delete(key)
  await between.set(written, 'new')
  await between.close()
  // That of before: as after a crash.
  writeFileSync(join(dir, 'ssd', 'hot'), list)
  await using cache = await open({ dir, memory })
  while (!(await hasAll(cache, hot.slice(25)))) await turn()
  for (const key of hot.slice(0, 25)) {
    expect(cache.getSync(key)).toBe(undefined)
    expect(await cache.get(key)).toBe(undefined)
  }
  expect(cache.getSync(written)).toBe('new')
})

it.each([
  ['damaged', /damaged/, (bytes: Buffer) => bytes.fill(0, 20, 30)],
  [
    'of a newer version',
    /format 2, this code reads 1/,
    (bytes: Buffer) => {
      bytes.writeUInt32LE(2, 8)
      bytes.writeUInt32LE(crc32(bytes.subarray(0, -4)), bytes.length - 4)
    },
  ],
  ['cut', /no list of keys/, (bytes: Buffer) => bytes.subarray(0, 5)],
])('a list that is %s is told of and removed; the store goes on', async (_, reason, damage) => {
  const { dir, hot } = await filled()
  const path = join(dir, 'ssd', 'hot')
  const bytes = readFileSync(path)
  const damaged = damage(bytes)
  writeFileSync(path, Buffer.isBuffer(damaged) ? damaged : bytes)
  const warnings = warningsOf()
  const cache = await open({ dir, memory })
  expect(existsSync(path)).toBe(false)
  await until(() => warnings.length > 0)
  expect(warnings).toEqual([expect.stringMatching(reason)])
  expect(warnings[0]).toContain(path)
  expect(await cache.get(hot[0] as string)).toBe(textOf(0))
  await cache.close()
  expect(existsSync(path)).toBe(true)
})
