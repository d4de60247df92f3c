/** Owners that are killed while they write, again and again over one directory. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { Prng } from '../../src/base/prng.ts'
import { testSeed } from '../support/seed.ts'
import { Child, dots, removeArena } from './support.ts'

/** Kills of each kind; `RAMCACHE_CRASH_ROUNDS` for a longer run. */
const rounds = Number(process.env.RAMCACHE_CRASH_ROUNDS ?? 5)
const timeout = 60_000 + rounds * 20_000

function storeFolder(): { dir: string; journal: string } {
  const dir = mkdtempSync(join(tmpdir(), 'ramcache-crash-'))
  onTestFinished(() => {
    removeArena(dir)
    rmSync(dir, { recursive: true, force: true })
  })
  return { dir, journal: join(dir, 'journal') }
}

it('a killed owner loses nothing acknowledged, and leaves nothing half', { timeout }, async () => {
  const { dir, journal } = storeFolder()
  const random = new Prng(testSeed('killed owners'))
  let operations = 0
  for (let round = 0; round < rounds; round++) {
    const child = new Child('crasher', [dir, journal, String(random.u32())])
    if (round % 4 === 3) {
      // In the middle of the takeover, wherever that is by now.
      await child.until((output) => output.startsWith('opening'))
      for (let turns = random.below(2000); turns > 0; turns--) await new Promise(setImmediate)
    } else {
      const least = 20 + random.below(500)
      await child.until((output) => dots(output) >= least)
    }
    await child.kill()
    operations += 20 * dots(child.output)
  }
  await new Child('crasher', [dir, journal, '1', 'verify']).end()
  // What a clean stop leaves is the same.
  await new Child('crasher', [dir, journal, '2', 'verify']).end()
  expect(operations).toBeGreaterThan(rounds * 200)
})

it('when its memory is lost too, everything flushed is there, and of the rest no older state', {
  timeout,
}, async () => {
  const { dir, journal } = storeFolder()
  const random = new Prng(testSeed('killed owners without their memory'))
  for (let round = 0; round < rounds; round++) {
    const child = new Child('crasher', [dir, journal, String(random.u32()), round === 0 ? '' : 'flushed'])
    const least = 20 + random.below(500)
    await child.until((output) => dots(output) >= least)
    await child.kill()
    removeArena(dir)
  }
  await new Child('crasher', [dir, journal, '1', 'verify,flushed']).end()
})

it('values without durability outlive the owner with its memory, and nothing older comes in their place', {
  timeout,
}, async () => {
  const { dir } = storeFolder()
  const stop = async (how: string, word: string) => {
    const child = new Child('volatile', [dir, how])
    await child.until((output) => output.includes(word))
    await child.kill()
  }
  await stop('write', 'written')
  await stop('kept', 'verified')
  removeArena(dir)
  await new Child('volatile', [dir, 'lost']).end()
  // What a rebuilt index says is the same.
  rmSync(join(dir, 'ssd', 'index'), { recursive: true })
  await new Child('volatile', [dir, 'lost']).end()
})
