/** What has left RAM is as good as what is in it: pushed out by other entries, or left behind by a restart. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Cache, open } from '../../src/index.ts'
import { patternOf } from '../support/blobs.ts'
import { openThreeTiers, openTiered, type Placement } from '../support/stores.ts'

let placement: Placement
let cache: Cache

beforeEach(async () => {
  placement = await openTiered()
  cache = placement.cache
})

afterEach(async () => {
  await placement.end()
})

async function restart(): Promise<void> {
  placement = await placement.reopen()
  cache = placement.cache
}

async function replace(fresh: Promise<Placement>): Promise<void> {
  await placement.end()
  placement = await fresh
  cache = placement.cache
}

interface Cooling {
  begin(): Promise<void>
  cool(): Promise<void>
  readonly tier: 'ssd' | 'hdd'
}

const coolings: Record<string, Cooling> = {
  evicted: { begin: async () => {}, cool: () => placement.chill(), tier: 'ssd' },
  'left by a restart': { begin: async () => {}, cool: restart, tier: 'ssd' },
  'moved to the HDD tier': {
    begin: () => replace(openThreeTiers()),
    cool: () => placement.freeze(),
    tier: 'hdd',
  },
  'left there by a restart': {
    begin: () => replace(openThreeTiers()),
    cool: async () => {
      await placement.freeze()
      await restart()
    },
    tier: 'hdd',
  },
}

const value = { when: new Date(5), map: new Map([['a', new Set([1n])]]), list: [{ id: 1 }, { id: 2 }] }

async function keysOf(options?: Parameters<Cache['scan']>[0]): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of cache.scan(options)) keys.push(key)
  return keys
}

describe.each(Object.keys(coolings))('an entry that was %s', (name) => {
  const { begin, cool, tier } = coolings[name] as Cooling

  beforeEach(begin)

  it('is read by every method', async () => {
    const written = await cache.set('k', value, { ttl: '1h', tags: ['t'] })
    await cache.set('null', null)
    await cool()
    expect(cache.getSync('k')).toBe(undefined)
    expect(await cache.getEntry('k')).toMatchObject({ ...written, value, tags: ['t'], tier })
    await cool()
    const { signal } = new AbortController()
    expect(await cache.get('k', { signal })).toEqual(value)
    expect(await cache.has('null', { signal })).toBe(true)
    expect(await cache.get('null')).toBe(null)
    await cache.set('warm', 1)
    const many = await cache.getMany(['null', 'none', 'k', 'warm', 'k'])
    expect([...many]).toEqual([['null', null], ['k', value], ['warm', 1]]) // biome-ignore format: one line
    await cool()
    expect(await cache.pull('k')).toEqual(value)
    expect(await cache.has('k')).toBe(false)
  })

  it('is found by writes that depend on it', async () => {
    const written = await cache.set('k', { a: 1 })
    await cache.setMany([['count', 41], ['gone', 1], ['touched', 1]]) // biome-ignore format: one line
    await cool()
    expect(await cache.add('k', 2)).toBe(false)
    expect(await cache.incr('count')).toBe(42)
    expect(await cache.delete('gone')).toBe(true)
    expect(await cache.delete('gone')).toBe(false)
    expect(await cache.touch('touched', '1h')).toBe(true)
    const next = await cache.set('k', { a: 2 }, { ifVersion: written?.version as string })
    expect((next?.version as string) > (written?.version as string)).toBe(true)
    await cool()
    expect(await cache.set('k', 3, { ifVersion: written?.version as string })).toBe(undefined)
    expect(await cache.cas('k', { a: 2 }, { a: 3 })).toBe(true)
    await cool()
    expect(await cache.getMany(['k', 'count', 'gone'])).toEqual(new Map<string, unknown>([['k', { a: 3 }], ['count', 42]])) // biome-ignore format: one line
    placement.advance(3_600_000)
    expect(await cache.has('touched')).toBe(false)
  })

  it('expires, slides and is cleared', async () => {
    await cache.set('short', 1, { ttl: '1h' })
    await cache.set('idle', 1, { idle: '1h' })
    await cache.namespace('other').set('k', 1)
    await cool()
    placement.advance(2_160_000)
    expect(await cache.get('idle')).toBe(1)
    placement.advance(2_160_000)
    expect(await cache.get('idle')).toBe(1)
    expect(await cache.get('short')).toBe(undefined)
    await cool()
    await cache.clear()
    expect(await cache.get('idle')).toBe(undefined)
    expect(await keysOf()).toEqual([])
    await cool()
    expect(await cache.get('idle')).toBe(undefined)
    expect(await keysOf()).toEqual([])
    expect(await cache.namespace('other').get('k')).toBe(1)
  })

  it('is a blob', async () => {
    const bytes = patternOf(100_000)
    await pipeline([bytes], cache.createWriteStream('blob'))
    await cool()
    expect((await cache.getEntry('blob'))?.isBlob).toBe(true)
    expect(await buffer(await cache.createReadStream('blob'))).toEqual(bytes)
    for await (const entry of cache.scan()) expect(entry).toMatchObject({ isBlob: true, size: 100_000 })
  })

  it('is scanned as it is described', async () => {
    const long = 'l'.repeat(3000)
    await cache.set('k', value, { ttl: '1h', tags: ['t'] })
    await cache.set(long, 1)
    await cache.set('deleted', 1)
    await cool()
    await cache.delete('deleted')
    await cache.set('warm', 1)
    expect(await keysOf()).toEqual(['k', long, 'warm'])
    // A small store may have pushed the newest one out already.
    expect((await keysOf({ tier })).filter((key) => key !== 'warm')).toEqual(['k', long])
    expect(await keysOf({ prefix: 'l', match: '*l', limit: 1 })).toEqual([long])
    for await (const entry of cache.scan({ match: 'k' })) {
      const { value: _, ...info } = (await cache.getEntry('k')) ?? { value: undefined }
      expect(entry).toEqual(info)
      expect(entry.tier).toBe(tier)
    }
  })
})

it('a cold hit counts as a hit of the SSD tier, and not as a miss', async () => {
  await cache.setMany([['a', 1], ['b', { c: 1 }], ['gone', 1]]) // biome-ignore format: one line
  await placement.chill()
  await cache.delete('gone')
  await cache.get('a')
  await cache.getEntry('b')
  await cache.getMany(['a', 'b', 'none'])
  await cache.has('gone')
  const { hits, misses, hitRate, tiers } = await cache.stats()
  expect({ hits, misses }).toEqual({ hits: 4, misses: 2 })
  expect(hitRate).toBeCloseTo(4 / 6)
  expect(tiers.ssd.hits + tiers.ram.hits).toBe(4)
  expect(tiers.ssd.hits).toBeGreaterThanOrEqual(2)
  expect(tiers.ssd.demotedIn).toBeGreaterThan(3)
  expect(tiers.ssd.promotedOut).toBeGreaterThan(0)
})

it('a miss after a cold hit ends', async () => {
  await cache.set('cold', 1)
  await cache.set('gone', 1)
  await placement.chill()
  await cache.delete('gone')
  expect(await cache.get('cold')).toBe(1)
  expect(await cache.get('gone')).toBe(undefined)
})

it('who waits for a cold key can be called off', async () => {
  // A key for each: what is read twice comes up, and is not waited for any more.
  const keys = ['a', 'b', 'c', 'd', 'e']
  for (const key of keys) await cache.set(key, 1)
  await placement.chill()
  const controller = new AbortController()
  const reason = new Error('enough')
  const { signal } = controller
  const reads = [
    cache.get('a', { signal }),
    cache.getEntry('b', { signal }),
    cache.getMany(['c'], { signal }),
    cache.delete('d', { signal }),
    cache.set('e', 2, { ifPresent: true, signal }),
  ]
  controller.abort(reason)
  for (const settled of await Promise.allSettled(reads)) expect(settled).toMatchObject({ reason })
  expect((await cache.getMany(keys)).size).toBe(5)
})

it('the tiers of a store end with its last user, whoever that is', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'ramcache-'))
  const one = await open({ dir, memory: '1mb' })
  const two = await open({ dir, memory: '1mb', tiers: { ssd: false } })
  await two.set('k', { a: 1 })
  await one.close()
  expect(await two.add('k', 2)).toBe(false)
  expect(await two.add('new', 2)).toBe(true)
  await two.close()
  const both = await Promise.all([open({ dir, memory: '2mb' }), open({ dir, memory: '2mb' })])
  expect(await both[1].get('k')).toEqual({ a: 1 })
  await Promise.all(both.map((cache) => cache.close()))
  const last = await open({ dir, memory: '1mb' })
  expect(await last.get('new')).toBe(2)
  await last.close()
  rmSync(dir, { recursive: true, force: true })
})
