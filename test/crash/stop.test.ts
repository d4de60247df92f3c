/** Closing, twice, in both orders, while reads wait, with much that is not on disk yet, and not at all. */
import { expect, it } from 'vitest'
import { checkStore, engineOf } from '../../src/cache/internal.ts'
import { type Cache, open } from '../../src/index.ts'
import type { Engine } from '../../src/native/engine.ts'
import { failure } from '../support/errors.ts'
import { testFolder } from '../support/folders.ts'
import { Child, removeArena } from './support.ts'

const textOf = (number: number) => `${number}:`.padEnd(1000, String(number))

async function fill(cache: Cache, count: number): Promise<void> {
  for (let number = 0; number < count; number++) await cache.set(`k${number}`, textOf(number))
}

async function expectAll(cache: Cache, count: number): Promise<void> {
  for (let number = 0; number < count; number++) {
    expect(await cache.get(`k${number}`)).toBe(textOf(number))
  }
}

it('a key that RAM knows to be gone is a miss, also after a read that went below', async () => {
  await using cache = await open({ dir: testFolder(), memory: '1mb' })
  await fill(cache, 4000)
  await cache.set('gone', 1)
  await cache.delete('gone')
  expect(await cache.get('k0')).toBe(textOf(0))
  expect(await cache.get('gone')).toBe(undefined)
  expect(await cache.getEntry('gone')).toBe(undefined)
  expect(await cache.has('gone')).toBe(false)
})

it('64 MB that are not on disk yet are there after a close', async () => {
  const dir = testFolder()
  const bytes = Buffer.alloc(64 * 1024, 7)
  const cache = await open({ dir, memory: '96mb' })
  for (let number = 0; number < 1024; number++) await cache.set(`k${number}`, bytes)
  await Promise.all([cache.close(), cache.close()])
  await cache.close()
  await using next = await open({ dir, memory: '96mb' })
  for (let number = 0; number < 1024; number++)
    expect(bytes.equals((await next.get(`k${number}`)) as Buffer)).toBe(true)
  checkStore(next)
})

it('what is acknowledged before a close in the middle of heavy writes is there', {
  timeout: 120_000,
}, async () => {
  const dir = testFolder()
  const journal = `${dir}.journal`
  await new Child('crasher', [dir, journal, '7', 'close']).end()
  await new Child('crasher', [dir, journal, '8', 'verify']).end()
})

it('process.exit without a close loses nothing', async () => {
  const dir = testFolder()
  await new Child('exit', [dir]).end()
  await using cache = await open({ dir, memory: '1mb' })
  await expectAll(cache, 3000)
})

it('reads that wait at a close are refused or answered', async () => {
  const cache = await open({ dir: testFolder(), memory: '1mb' })
  await fill(cache, 5000)
  const reads = Array.from({ length: 3000 }, (_, number) =>
    cache.get(`k${number}`).then(
      (value) => value === textOf(number),
      (error) => error.code === 'ERR_RAMCACHE_CLOSED',
    ),
  )
  await cache.close()
  expect((await Promise.all(reads)).every((isRight) => isRight)).toBe(true)
  await failure('ERR_RAMCACHE_CLOSED', () => cache.get('k0'))
})

it('an answer that comes when its cache has just been closed disturbs nobody', async () => {
  const dir = testFolder()
  await using owner = await open({ dir, memory: '1mb' })
  for (let round = 0; round < 20; round++) {
    const cache = await open({ dir, memory: '1mb' })
    const engine = engineOf(cache) as Engine
    await owner.set('k', round)
    const answered = failure('ERR_RAMCACHE_CLOSED', () => engine.flush())
    // The event loop stands still meanwhile, so the answer waits for its turn.
    while ((engine.counters().below?.durability.dirtyBytes ?? 0) > 0);
    engine.close()
    await answered
    await new Promise((resolve) => setImmediate(resolve))
    await cache.close()
  }
  expect(await owner.get('k')).toBe(19)
})

it.each(['first', 'second', 'both at once'])('two who share a store: %s closes first', async (order) => {
  const dir = testFolder()
  const [one, two] = await Promise.all([open({ dir, memory: '1mb' }), open({ dir, memory: '1mb' })])
  await fill(one, 3000)
  expect(await two.get('k0')).toBe(textOf(0))
  if (order === 'both at once') await Promise.all([one.close(), two.close()])
  else {
    const [earlier, later] = order === 'first' ? [one, two] : [two, one]
    await earlier.close()
    await expectAll(later, 500)
    await later.set('late', 1)
    await later.close()
  }
  // Another process: the directory is free again, and nobody is left to be asked.
  await new Child('exit', [dir, 'read']).end()
  removeArena(dir)
})
