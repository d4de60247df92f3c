/** Pinned entries: in RAM whatever else is written, after a restart too, and within a limit. */
import { afterEach, expect, it, vi } from 'vitest'
import { engineOf, pinKey } from '../../src/cache/internal.ts'
import type { Cache } from '../../src/index.ts'
import type { Space } from '../../src/native/engine.ts'
import { failure } from '../support/errors.ts'
import { openEmbedded, openThreeTiers, openTiered, type Placement } from '../support/stores.ts'

let placement: Placement | undefined

afterEach(async () => {
  await placement?.end()
  placement = undefined
})

const namespaces = { pinned: { pin: true } } as const
const value = (n: number) => ({ n, text: 'v'.repeat(n % 3 === 0 ? 5000 : 300) })
const count = 60

/** Three times the memory in something else. */
function fill(cache: Cache): void {
  const filler = engineOf(cache).space('filler') as Space
  for (let n = 0; n < 1500; n++) filler.set(`filler ${n}`, Buffer.alloc(2000))
}

function expectInRam(cache: Cache): void {
  for (let n = 0; n < count; n++) expect(cache.getSync(`k${n}`)).toEqual(value(n))
}

it.each([
  ['RAM alone', (): Promise<Placement> => openEmbedded({ memory: '1mb', namespaces }), false],
  ['an SSD tier', (): Promise<Placement> => openTiered({ namespaces }), true],
  ['three tiers', (): Promise<Placement> => openThreeTiers({ namespaces }), true],
])('a pinned namespace never leaves RAM, in a store of %s', async (_, openIt, survives) => {
  placement = await openIt()
  let pinned = placement.cache.namespace('pinned')
  await pinned.setMany(Array.from({ length: count }, (_, n) => [`k${n}`, value(n)] as const))
  for (let n = 0; n < count; n += 2) await pinned.set(`k${n}`, value(n))
  await pinned.incr('counter', 1, { init: 0 })
  await placement.cache.set('other', 1)
  fill(placement.cache)
  expect(placement.cache.getSync('other')).toBe(undefined)
  expectInRam(pinned)
  expect(pinned.getSync('counter')).toBe(1)
  await pinned.touch('k1', '1h')
  await pinned.incr('counter')
  fill(placement.cache)
  expectInRam(pinned)
  expect(pinned.getSync('counter')).toBe(2)
  if (!survives) return
  placement = await placement.reopen()
  pinned = placement.cache.namespace('pinned')
  // They come up by themselves: nobody reads them from below here.
  await vi.waitFor(() => expectInRam(pinned), { timeout: 60_000 })
  fill(placement.cache)
  expectInRam(pinned)
})

it('pinned entries take a part of the memory, and what exceeds it is refused', async () => {
  placement = await openTiered({ namespaces })
  const { cache } = placement
  const pinned = cache.namespace('pinned')
  const bytes = Buffer.alloc(1000)
  let written = 0
  const error = await failure('ERR_RAMCACHE_FULL', async () => {
    for (; ; written++) await pinned.set(`k${written}`, bytes)
  })
  const [, total, limit] = /would take (\d+) bytes, the limit is (\d+) bytes: half/.exec(error.message) ?? []
  expect(Number(total)).toBeGreaterThan(Number(limit))
  expect(written * 1000).toBeLessThanOrEqual(Number(limit))
  expect(written * 1100).toBeGreaterThan(Number(limit) * 0.9)
  await failure('ERR_RAMCACHE_FULL', () => pinned.setMany([['group', bytes]]))
  await failure('ERR_RAMCACHE_FULL', () =>
    pinned.incr('count', 1, { init: 0 }).then(() => pinned.set('x', bytes)),
  )
  await cache.set('cold', 'x'.repeat(1000))
  await failure('ERR_RAMCACHE_FULL', () => pinKey(cache, 'default', 'cold', true))
  // What replaces its like is taken, and so is everything that is not pinned.
  await pinned.set('k0', bytes)
  fill(cache)
  for (let n = 0; n < written; n++) expect(pinned.getSync(`k${n}`)).toEqual(bytes)
  await pinned.delete('k1')
  await pinned.set('k1', bytes)
  await pinned.clear()
  await pinned.setMany([['group', bytes]])
  for (let n = 0; n < written - 1; n++) await pinned.set(`k${n}`, bytes)
})

it('a key is pinned where it is, and let go of', async () => {
  placement = await openTiered()
  let { cache } = placement
  const keys = ['a', 'l'.repeat(3000), 'blob', 'ü']
  for (const key of keys) await cache.set(key, { key }, { ttl: '1h', tags: ['t'] })
  const before = await cache.getEntry('a')
  await placement.chill()
  for (const key of keys) expect(await pinKey(cache, 'default', key, true)).toBe(true)
  expect(await pinKey(cache, 'default', 'none', true)).toBe(false)
  fill(cache)
  for (const key of keys) expect(cache.getSync(key)).toEqual({ key })
  expect(await cache.getEntry('a')).toEqual({ ...before, tier: 'ram' })
  placement = await placement.reopen()
  cache = placement.cache
  const all = () => {
    for (const key of keys) expect(cache.getSync(key)).toEqual({ key })
  }
  await vi.waitFor(all, { timeout: 60_000 })
  fill(cache)
  all()
  for (const key of keys) expect(await pinKey(cache, 'default', key, false)).toBe(true)
  await placement.chill()
  expect(await cache.getMany(keys)).toEqual(new Map(keys.map((key) => [key, { key }])))
  placement.advance(3_600_001)
  expect(await cache.get('a')).toBe(undefined)
})

it('what lay below before its namespace was pinned is known to writes that depend on it', async () => {
  placement = await openTiered()
  const plain = placement.cache.namespace('n')
  await plain.set('k', 1)
  fill(placement.cache)
  const pinned = placement.cache.namespace('n', { pin: true })
  expect(pinned.getSync('k')).toBe(undefined)
  expect(await pinned.add('k', 2)).toBe(false)
  expect(await pinned.incr('k')).toBe(2)
  fill(placement.cache)
  expect(pinned.getSync('k')).toBe(2)
})
