/** Entries that are brought up and taken out of RAM by hand: where they are then, and that none is lost on the way. */
import { join } from 'node:path'
import { afterEach, expect, it, vi } from 'vitest'
import { engineOf, pinKey } from '../../src/cache/internal.ts'
import { moveKey, moveKeys, whenWarm } from '../../src/cache/moves.ts'
import { type Cache, open } from '../../src/index.ts'
import type { Engine } from '../../src/native/engine.ts'
import { failure } from '../support/errors.ts'
import { testFolder } from '../support/folders.ts'
import { openEmbedded, openThreeTiers, openTiered, type Placement } from '../support/stores.ts'

let placement: Placement | undefined

afterEach(async () => {
  await placement?.end()
  placement = undefined
})

async function tierOf(cache: Cache, key: string): Promise<string | undefined> {
  for await (const entry of cache.scan({ prefix: key })) if (entry.key === key) return entry.tier
  return undefined
}

it.each([
  ['an SSD tier', openTiered],
  ['three tiers', openThreeTiers],
])('down and up again, with %s: the entry stays what it was', async (_, openIt) => {
  placement = await openIt()
  const { cache } = placement
  const large = 'l'.repeat(100_000)
  await cache.set('k', { a: [1] }, { ttl: '1h', tags: ['t'] })
  await cache.set('large', large)
  await cache.set('volatile', 'v', { durability: 'none' })
  const before = await cache.getEntry('k')
  const keys = ['k', 'large', 'volatile', 'never']
  expect(await moveKeys(cache, 'default', keys, 'demote')).toEqual(['moved', 'moved', 'moved', 'absent'])
  for (const key of keys) expect(cache.getSync(key)).toBe(undefined)
  expect(await tierOf(cache, 'k')).toBe('ssd')
  expect(await moveKeys(cache, 'default', ['k', 'never'], 'demote')).toEqual(['already', 'absent'])
  // A look at where it is has not brought it up.
  expect(cache.getSync('k')).toBe(undefined)
  expect(await cache.getMany(keys)).toEqual(
    new Map<string, unknown>([
      ['k', { a: [1] }],
      ['large', large],
      ['volatile', 'v'],
    ]),
  )
  expect(await moveKeys(cache, 'default', keys, 'promote')).toEqual(['moved', 'moved', 'moved', 'absent'])
  expect(cache.getSync('k')).toEqual({ a: [1] })
  expect(cache.getSync('large')).toBe(large)
  expect(await cache.getEntry('k')).toEqual(before)
  expect(await moveKeys(cache, 'default', ['k'], 'promote')).toEqual(['already'])
})

it('what lies on the HDD comes up', async () => {
  placement = await openThreeTiers()
  const { cache } = placement
  await cache.set('cold', 'c')
  await placement.freeze()
  expect(await tierOf(cache, 'cold')).toBe('hdd')
  expect(await moveKeys(cache, 'default', ['cold'], 'promote')).toEqual(['moved'])
  expect(cache.getSync('cold')).toBe('c')
})

it('what is pinned stays, what is deleted or expired is not there', async () => {
  placement = await openTiered()
  const { cache } = placement
  await cache.set('p', 1)
  await pinKey(cache, 'default', 'p', true)
  await cache.set('gone', 1)
  await cache.delete('gone')
  await cache.set('short', 1, { ttl: 1000 })
  placement.advance(2000)
  expect(await moveKeys(cache, 'default', ['p', 'gone', 'short'], 'demote')).toEqual([
    'pinned',
    'absent',
    'absent',
  ])
  expect(cache.getSync('p')).toBe(1)
  expect(await moveKeys(cache, 'default', ['p'], 'unpin')).toEqual(['moved'])
  expect(await moveKeys(cache, 'default', ['p'], 'demote')).toEqual(['moved'])
  expect(await cache.get('p')).toBe(1)
})

it('writers and readers beside it lose nothing', async () => {
  placement = await openTiered()
  const { cache } = placement
  const engine = engineOf(cache) as Engine
  let isOver = false
  const moving = (async () => {
    const moves = ['demote', 'promote', 'demote'] as const
    for (let n = 0; !isOver; n++) await moveKey(engine, 'default', `k${n % 5}`, moves[n % 3] as 'demote')
  })()
  for (let n = 0; n < 2000; n++) {
    await cache.set(`k${n % 5}`, n)
    if (n % 3 === 0) expect(await cache.get(`k${n % 5}`)).toBe(n)
    if (n % 7 === 0) expect(await cache.incr(`k${n % 5}`, 0)).toBe(n)
    if (n % 11 === 0) expect(await cache.delete(`k${n % 5}`)).toBe(true)
    if (n % 11 === 0) expect(await cache.get(`k${n % 5}`)).toBe(undefined)
  }
  isOver = true
  await moving
  const kept = await cache.getMany(['k0', 'k1', 'k2', 'k3', 'k4'])
  placement = await placement.reopen()
  expect(await placement.cache.getMany([...kept.keys()])).toEqual(kept)
})

it('is refused where there is nothing below RAM', async () => {
  placement = await openEmbedded()
  const { cache } = placement
  await cache.set('k', 1)
  await failure('ERR_RAMCACHE_CONFIG', () => moveKeys(cache, 'default', ['k'], 'demote'))
  expect(cache.getSync('k')).toBe(1)
  expect(await moveKeys(cache, 'default', ['k'], 'promote')).toEqual(['already'])
})

it('in a store that is opened and closed, it says what comes up at the next start', async () => {
  const dir = join(testFolder(), 'store')
  const options = { dir, memory: '1mb', listen: false } as const
  const keys = ['stays', 'goes']
  let cache = await open(options)
  for (const key of keys) await cache.set(key, key)
  const next = async () => {
    await cache.close()
    cache = await open(options)
    await whenWarm(cache)
  }
  try {
    await next()
    await vi.waitFor(() => expect(keys.map((key) => cache.getSync(key))).toEqual(keys), { timeout: 30_000 })
    expect(await moveKeys(cache, 'default', ['goes'], 'demote')).toEqual(['moved'])
    await next()
    await vi.waitFor(() => expect(cache.getSync('stays')).toBe('stays'), { timeout: 30_000 })
    expect(cache.getSync('goes')).toBe(undefined)
    expect(await moveKeys(cache, 'default', ['goes'], 'promote')).toEqual(['moved'])
    await next()
    await vi.waitFor(() => expect(keys.map((key) => cache.getSync(key))).toEqual(keys), { timeout: 30_000 })
  } finally {
    await cache.close()
  }
})
