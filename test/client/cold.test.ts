/** What a client reads that has left RAM: through the owner, counted once. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import type { Cache, Stats } from '../../src/index.ts'
import { connecting, Host, remotePlacement } from '../support/hosts.ts'
import type { Placement } from '../support/stores.ts'

let host: Host
let placement: Placement
let cache: Cache

beforeAll(() => {
  host = new Host()
})

afterAll(() => host.end())

beforeEach(async () => {
  placement = await remotePlacement(() => host, connecting)({ tiers: {}, memory: '1mb' })
  cache = placement.cache
})

afterEach(() => placement.end())

/** As the owner itself has them. */
async function counts(): Promise<{ hits: number; misses: number }> {
  const { hits, misses } = (await host.run('call', placement.dir, 'stats')) as Stats
  return { hits, misses }
}

const value = { when: new Date(5), map: new Map([['a', new Set([1n])]]), list: [{ id: 1 }, { id: 2 }] }

it('is found by every method, and counts as one hit each', async () => {
  const written = await cache.set('object', value, { ttl: '1h', tags: ['t'] })
  await cache.setMany([['a', 1], ['b', 'text'], ['c', Buffer.from('c')], ['gone', 1]]) // biome-ignore format: one line
  await placement.chill()
  const before = await counts()
  expect(cache.getSync('object')).toBe(undefined)
  expect(await cache.get('object')).toEqual(value)
  expect(await cache.has('a')).toBe(true)
  const many = await cache.getMany(['c', 'none', 'b'])
  expect([...many]).toEqual([['c', Buffer.from('c')], ['b', 'text']]) // biome-ignore format: one line
  await placement.chill()
  expect(await cache.getEntry('object')).toMatchObject({ ...written, value, tags: ['t'] })
  expect(await cache.get('none')).toBe(undefined)
  const after = await counts()
  // What RAM does not have is a miss of getSync, whatever lies below.
  expect({ hits: after.hits - before.hits, misses: after.misses - before.misses }).toEqual({
    hits: 5,
    misses: 3,
  })
})

it('is found by writes that depend on it', async () => {
  const written = await cache.set('k', { a: 1 })
  await cache.setMany([['count', 41], ['gone', 1], ['pulled', 'p']]) // biome-ignore format: one line
  await placement.chill()
  expect(await cache.add('k', 2)).toBe(false)
  expect(await cache.incr('count')).toBe(42)
  expect(await cache.deleteMany(['gone', 'none'])).toBe(1)
  expect(await cache.pull('pulled')).toBe('p')
  expect(await cache.cas('k', { a: 1 }, { a: 2 })).toBe(true)
  expect(await cache.set('k', 3, { ifVersion: written?.version as string })).toBe(undefined)
  await placement.chill()
  expect(await cache.getMany(['k', 'count', 'gone', 'pulled'])).toEqual(new Map<string, unknown>([['k', { a: 2 }], ['count', 42]])) // biome-ignore format: one line
})

it('shares field names with the owner, once that has stored them', async () => {
  const row = (id: number) => ({ identifier: id, description: `row ${id}`, quantity: id * 2 })
  const sizes: number[] = []
  for (let id = 0; id < 20; id++) {
    await cache.set(`row${id}`, row(id))
    sizes.push((await cache.getEntry(`row${id}`))?.size ?? 0)
  }
  expect(sizes.at(-1)).toBeLessThan((sizes[0] ?? 0) - 20)
  await placement.chill()
  for (let id = 0; id < 20; id++) expect(await cache.get(`row${id}`)).toEqual(row(id))
  expect(await host.run('call', placement.dir, 'get', 'row19')).toEqual(row(19))
})
