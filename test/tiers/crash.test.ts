/** What a tier holds after its process was killed in the middle of a write. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { Prng } from '../../src/base/prng.ts'
import { HddTier } from '../../src/tiers/hdd.ts'
import { LogIndex } from '../../src/tiers/log-index.ts'
import { testFolder } from '../support/folders.ts'
import { testSeed } from '../support/seed.ts'

const rounds = 5

/** Runs a writer, kills it a random time after its first answer; resolves to the last number it printed. */
async function runAndKill(random: Prng, program: string, ...args: string[]): Promise<number> {
  const path = fileURLToPath(new URL(`children/${program}`, import.meta.url))
  const child = spawn(process.execPath, [path, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', (chunk) => {
    output += chunk
  })
  const ended = once(child, 'close')
  await Promise.race([once(child.stdout, 'data'), ended])
  // Any moment will do: what is checked holds at each of them.
  const timer = setTimeout(() => child.kill('SIGKILL'), random.below(1000))
  const [, signal] = await ended
  clearTimeout(timer)
  expect(signal).toBe('SIGKILL')
  return Number(output.trim().split('\n').at(-1))
}

it('the index: position and rows agree', async () => {
  const random = new Prng(testSeed('index crash'))
  const dir = testFolder()
  const count = 40_000
  let inMiddle = 0
  for (let round = 0; round < rounds; round++) {
    const acknowledged = await runAndKill(random, 'index-writer.mjs', dir, String(count))
    const index = await LogIndex.open(dir, { verify: true })
    const { file: position } = index.position()
    expect(position).toBeGreaterThanOrEqual(acknowledged)
    expect(position).toBeLessThanOrEqual(acknowledged + 1)
    const keys = Array.from({ length: count }, (_, n) => Buffer.from(`\0\u0001key ${n}`))
    const found = index.findMany(keys)
    // Every row is of the batch the position says, or of the one that was being written, which will come again.
    const wrong = found.filter((row, n) => {
      const isOfBatch = row?.file === position || row?.file === position + 1
      return !isOfBatch || row.offset !== n || row.bytes !== 1 || row.clock !== BigInt(row.file)
    })
    expect(wrong).toEqual([])
    const newer = found.filter((row) => row?.file === position + 1).length
    expect(newer).toBeLessThan(count)
    if (newer > 0) inMiddle++
    expect(index.count()).toEqual({ entries: count, bytes: count, tombstones: 0 })
    await index.close()
  }
  console.log(`index crash: ${inMiddle} of ${rounds} kills fell between the pieces of a commit`)
})

it('LevelDB: every acknowledged entry is there, whole', async () => {
  const random = new Prng(testSeed('hdd crash'))
  const dir = testFolder()
  const count = 3000
  let first = 1
  for (let round = 0; round < rounds; round++) {
    const acknowledged = await runAndKill(random, 'hdd-writer.mjs', dir, String(count), String(first))
    const tier = new HddTier(dir)
    await tier.open()
    const found = await tier.load(Array.from({ length: count }, (_, n) => Buffer.from(`\0\u0001key ${n}`)))
    const wrong = found.filter((entry) => {
      const isOfBatch = Number(entry?.version) === acknowledged || Number(entry?.version) === acknowledged + 1
      return !isOfBatch || entry?.record.toString() !== `${entry?.version} ${'x'.repeat(100)}`
    })
    expect(wrong).toEqual([])
    const bytes = found.reduce((sum, entry, n) => sum + `__key ${n}`.length + (entry?.record.length ?? 0), 0)
    expect(await tier.stats()).toEqual({ entries: count, bytes })
    await tier.close()
    first = acknowledged + 2
  }
})
