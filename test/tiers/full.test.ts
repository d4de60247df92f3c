/**
 * A full disk: a small tmpfs, which only root may mount. Without root this test fails and says so; it is never skipped.
 */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { Prng } from '../../src/base/prng.ts'
import { HddTier } from '../../src/tiers/hdd.ts'
import { packChanges } from '../../src/tiers/index-batch.ts'
import { LogIndex } from '../../src/tiers/log-index.ts'
import { smallDisk } from '../support/disks.ts'
import { failure } from '../support/errors.ts'

function changesOf(batch: number, count: number): Buffer {
  const changes = Array.from({ length: count }, (_, n) => {
    const key = Buffer.from(`\0\u0001${batch} ${n} ${'k'.repeat(200)}`)
    return { key, kind: 'set' as const, file: batch, offset: n, bytes: 1, clock: BigInt(batch) }
  })
  return packChanges(changes)
}

/** With a margin the commit is refused before it begins; without one LMDB meets the full disk itself. */
it.each([4 * 1024 * 1024, Number.NEGATIVE_INFINITY])('the index, freeBytesMin %d', async (freeBytesMin) => {
  const dir = smallDisk(16)
  const count = 500
  let index = await LogIndex.open(dir, { freeBytesMin })
  let reached = 0
  const error = await failure('ERR_RAMCACHE_FULL', async () => {
    for (;;) {
      await index.commit(changesOf(reached + 1, count), { file: reached + 1, offset: 0 })
      reached++
    }
  })
  expect(error.message).toContain(dir)
  expect(reached).toBeGreaterThan(0)
  // Reading goes on, and so does the rest after it was opened again: position and rows are those of the last commit.
  expect(index.position()).toEqual({ file: reached, offset: 0 })
  await index.close()
  index = await LogIndex.open(dir, { freeBytesMin, verify: true })
  onTestFinished(() => index.close())
  expect(index.position()).toEqual({ file: reached, offset: 0 })
  // Pieces of the batch that failed may be there: it is applied again from that position.
  expect(index.count().entries).toBeGreaterThanOrEqual(reached * count)
  expect(index.count().entries).toBeLessThan((reached + 1) * count)
  for (const batch of [1, reached]) {
    const key = Buffer.from(`\0\u0001${batch} 7 ${'k'.repeat(200)}`)
    expect(index.find(key)).toMatchObject({ file: batch, offset: 7 })
  }
})

it('LevelDB, which goes on when there is room again', async () => {
  const dir = smallDisk(24)
  const ballast = join(dir, 'ballast')
  writeFileSync(ballast, Buffer.alloc(12 * 1024 * 1024))
  const tier = new HddTier(join(dir, 'hdd'), { writeBufferBytes: 1024 * 1024 })
  await tier.open()
  onTestFinished(() => tier.close())
  // Does not compress.
  const random = new Prng(1)
  const noise = Buffer.from(Array.from({ length: 200_000 }, () => random.below(256)))
  const entryOf = (n: number) => ({
    key: Buffer.from(`\0\u0001key ${n}`),
    record: noise.subarray(n * 100, n * 100 + 100_000),
    version: 1n,
    expiresAt: 0,
  })
  let saved = 0
  const error = await failure('ERR_RAMCACHE_FULL', async () => {
    for (; ; saved++) await tier.save([entryOf(saved)])
  })
  expect(error.message).toContain(dir)
  expect(saved).toBeGreaterThan(0)
  rmSync(ballast)
  await tier.save([entryOf(saved)])
  const found = await tier.load(Array.from({ length: saved + 1 }, (_, n) => entryOf(n).key))
  const wrong = found.filter((entry, n) => entry === undefined || !entry.record.equals(entryOf(n).record))
  expect(wrong).toEqual([])
  expect((await tier.stats()).entries).toBe(saved + 1)
})
