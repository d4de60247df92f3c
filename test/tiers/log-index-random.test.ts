/** Random changes to the index of the value log, beside a Map that knows what must be found. */
import { describe, expect, it, onTestFinished } from 'vitest'
import { Prng } from '../../src/base/prng.ts'
import { type Change, packChanges, packMoves } from '../../src/tiers/index-batch.ts'
import { storedKey } from '../../src/tiers/index-row.ts'
import { LogIndex } from '../../src/tiers/log-index.ts'
import { testFolder } from '../support/folders.ts'
import { testSeed } from '../support/seed.ts'
import { FakeLog, keyOf, plain, rowsOf } from './index-model.ts'

describe.each([true, false])('random changes, tombstones kept: %s', (keepTombstones) => {
  it('agree with a Map', async () => {
    const seed = testSeed('log index')
    const random = new Prng(seed)
    const dir = testFolder()
    let index = await LogIndex.open(dir, { keepTombstones })
    onTestFinished(() => index.close())
    const log = new FakeLog(random, keepTombstones)
    const keys = Array.from({ length: 400 }, (_, n) => {
      const long = random.chance(0.05) ? 'x'.repeat(1880 + random.below(2000)) : ''
      return keyOf(`${random.below(100)}${long}${n}`, random.below(3))
    })
    // Rows of long keys lie under others.
    const names = new Map(keys.map((key) => [storedKey(key).toString('hex'), key.toString('hex')]))
    for (let step = 0; step < 120; step++) {
      const dice = random.below(100)
      const name = `seed ${seed}, step ${step}`
      if (dice < 55) {
        const changes = Array.from({ length: random.below(60) }, () => {
          return random.chance(0.005) ? log.clear(random.below(3)) : log.next(random.pick(keys))
        })
        const packed = packChanges(changes)
        await index.commit(packed, log.position)
        // A replay of what is already there changes nothing.
        if (random.chance(0.3) && isReplayable(changes, keepTombstones))
          await index.commit(packed, log.position)
      } else if (dice < 65) {
        const moved = new Set(Array.from({ length: 20 }, () => random.pick(keys).toString('hex')))
        const moves = [...moved].flatMap((name) => log.move(name) ?? [])
        await index.relocate(packMoves(moves))
      } else if (dice < 72) {
        const oldest = index.tombstones(1 + random.below(50))
        await index.removeTombstones(oldest)
        for (const { key, clock } of oldest) {
          const name = names.get(key.toString('hex')) as string
          const row = log.rows.get(name)
          if (row?.isTombstone && row.clock === clock) log.rows.delete(name)
        }
      } else if (dice < 78) {
        await index.sweep(random.below(3))
      } else if (dice < 82) {
        await index.close()
        index = await LogIndex.open(dir, { keepTombstones, verify: true })
      } else {
        const some = Array.from({ length: 30 }, () => random.pick(keys))
        const found = index.findMany(some).map((row) => row && plain(row))
        expect(found, name).toEqual(some.map((key) => log.rows.get(key.toString('hex'))))
      }
    }
    expect(new Map([...rowsOf(index, names.values())].sort())).toEqual(new Map([...log.rows].sort()))
    for (let namespace = 0; namespace < 3; namespace++) await index.sweep(namespace)
    const live = [...log.rows.values()].filter((row) => !row.isTombstone)
    expect(index.count()).toEqual({
      entries: live.length,
      bytes: live.reduce((sum, { bytes }) => sum + bytes, 0),
      tombstones: log.rows.size - live.length,
    })
  })
})

/** Without tombstones an older set of the same batch would come back, as it would in a log that is read from the middle. */
function isReplayable(changes: readonly Change[], keepTombstones: boolean): boolean {
  return keepTombstones || !changes.some(({ kind }) => kind === 'delete')
}
