/** Damaged files of tiers: what is found is right, or there is a clear error; never a wrong row, never a crash. */
import { spawnSync } from 'node:child_process'
import { cpSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { Prng } from '../../src/base/prng.ts'
import { HddTier } from '../../src/tiers/hdd.ts'
import { packChanges } from '../../src/tiers/index-batch.ts'
import { LogIndex } from '../../src/tiers/log-index.ts'
import { testFolder } from '../support/folders.ts'
import { testSeed } from '../support/seed.ts'

const count = 3000
const rounds = 60

/** Reads every folder of `parent` in other processes, which may die of what they find; a word about each folder. */
function readElsewhere(program: string, parent: string): string[] {
  const path = fileURLToPath(new URL(`children/${program}`, import.meta.url))
  const words: string[] = []
  while (words.length < rounds) {
    const args = [path, parent, String(count), String(words.length)]
    const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: 'utf8' })
    words.push(...stdout.split('\n').filter((line) => line !== ''))
    if (status !== 0) words.push(`died: ${stderr}`)
  }
  return words
}

function nameOf(round: number): string {
  return String(round).padStart(4, '0')
}

function countWords(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1
  return counts
}

/** Flips a bit of the file, or cuts it. */
function damage(random: Prng, path: string): string {
  const { size } = statSync(path)
  if (random.chance(0.25)) {
    const length = random.below(size)
    truncateSync(path, length)
    return `${path} cut from ${size} to ${length} bytes`
  }
  const bytes = readFileSync(path)
  const at = random.below(size)
  bytes[at] = (bytes[at] as number) ^ (1 << random.below(8))
  writeFileSync(path, bytes)
  return `${path} with a bit flipped at ${at} of ${size}`
}

it('the index', async () => {
  const random = new Prng(testSeed('damaged index'))
  const whole = testFolder()
  const index = await LogIndex.open(whole)
  for (let batch = 1; batch <= 3; batch++) {
    const changes = Array.from({ length: count }, (_, n) => {
      const key = Buffer.from(`\0\u0001key ${n}`)
      return { key, kind: 'set' as const, file: batch, offset: n, bytes: 7, clock: BigInt(batch) }
    })
    await index.commit(packChanges(changes), { file: batch, offset: 0 })
  }
  await index.close()
  const parent = testFolder()
  const what = Array.from({ length: rounds }, (_, round) => {
    const dir = join(parent, nameOf(round))
    cpSync(whole, dir, { recursive: true })
    return damage(random, join(dir, 'index.mdb'))
  })
  const words = readElsewhere('index-reader.mjs', parent)
  for (const [round, word] of words.entries()) {
    // All right, a clear error, or an empty file, which begins again at position 0.
    expect(word, what[round]).toMatch(/^(right|empty|ERR_RAMCACHE_CORRUPT|ERR_RAMCACHE_CONFIG)$/)
  }
  console.log('damaged index:', countWords(words))
})

it('LevelDB', async () => {
  const random = new Prng(testSeed('damaged hdd'))
  const whole = testFolder()
  const tier = new HddTier(whole, { writeBufferBytes: 128 * 1024 })
  await tier.open()
  for (let batch = 1; batch <= 3; batch++) {
    const entries = Array.from({ length: count }, (_, n) => ({
      key: Buffer.from(`\0\u0001key ${n}`),
      record: Buffer.from(`${batch} ${n} ${'x'.repeat(n % 200)}`),
      version: BigInt(batch),
      expiresAt: 0,
    }))
    await tier.save(entries)
  }
  await tier.close()
  const parent = testFolder()
  const what = Array.from({ length: rounds }, (_, round) => {
    const dir = join(parent, nameOf(round))
    cpSync(whole, dir, { recursive: true })
    const files = readdirSync(dir).filter(
      (name) => !/^(LOCK|LOG)/.test(name) && statSync(join(dir, name)).size > 0,
    )
    return damage(random, join(dir, random.pick(files)))
  })
  const words = readElsewhere('hdd-reader.mjs', parent)
  // LevelDB asserts on some damaged tables, which takes the process with it: classic-level cannot be told to look at
  // checksums first. Anything else must be an answer.
  for (const [round, word] of words.entries()) {
    // LevelDB drops the end of a damaged journal without a word: what was written last is then missing or older.
    expect(word, what[round]).toMatch(
      /^(right|missing|older|ERR_RAMCACHE_CORRUPT|ERR_RAMCACHE_CONFIG)$|^died: .*leveldb.*Assertion/,
    )
  }
  console.log('damaged hdd:', countWords(words.map((word) => (word.startsWith('died') ? 'died' : word))))
})
