/** `ramcache/unstorage` under unstorage. */
import { createStorage, type Driver, prefixStorage } from 'unstorage'
import { describe, expect, it } from 'vitest'
import { type RamcacheDriverOptions, ramcacheDriver } from '../../src/adapters/unstorage.ts'
import type { Cache } from '../../src/index.ts'
import { failure } from '../support/errors.ts'
import { inPlacements } from './placements.ts'

inPlacements('the unstorage driver', (placement) => {
  const storageOf = (options?: RamcacheDriverOptions, cache = placement().cache) => {
    // The types agree: unstorage takes it without a cast.
    const driver: Driver = ramcacheDriver(cache, options)
    return createStorage({ driver })
  }

  it('keeps what unstorage makes text of', async () => {
    const storage = storageOf()
    const values = { text: '007 bond', number: 7, object: { a: [1, null] }, yes: true }
    for (const [key, value] of Object.entries(values)) await storage.setItem(`of:${key}`, value)
    for (const [key, value] of Object.entries(values))
      expect(await storage.getItem(`of/${key}`)).toEqual(value)
    expect(await placement().cache.get('of:object')).toBe('{"a":[1,null]}')
    expect(await storage.hasItem('of:text')).toBe(true)
    expect(await storage.getItem('none')).toBeNull()
    await storage.removeItem('of:text')
    expect(await storage.hasItem('of:text')).toBe(false)
  })

  it('keeps raw items as they are', async () => {
    const storage = storageOf()
    const bytes = Buffer.from([0, 255, 0xc3, 0x28])
    await storage.setItemRaw('bytes', bytes)
    expect(await storage.getItemRaw('bytes')).toEqual(bytes)
    const value = { when: new Date(5), map: new Map([[1, 'a']]) }
    await storage.setItemRaw('value', value)
    expect(await storage.getItemRaw('value')).toEqual(value)
    expect(await storage.getItemRaw('none')).toBeNull()
    await failure('ERR_RAMCACHE_VALUE', () => storage.setItemRaw('bad', { run() {} }))
  })

  it('reads and writes many at a time', async () => {
    const storage = storageOf({ base: 'app:' })
    await storage.setItems(
      [
        { key: 'a', value: ['one'] },
        { key: 'b', value: ['two'], options: { ttl: 10 } },
        { key: 'c', value: ['three'] },
      ],
      { ttl: 60 },
    )
    const items = await storage.getItems(['c', 'none', 'a', 'b'])
    expect(items.map(({ key, value }) => [key, value])).toEqual([
      ['c', ['three']],
      ['none', null],
      ['a', ['one']],
      ['b', ['two']],
    ])
    await placement().advance(10_001)
    expect((await storage.getKeys()).sort()).toEqual(['a', 'c'])
    await placement().advance(50_000)
    expect(await storage.getKeys()).toEqual([])
  })

  it('ends items after the seconds that they, or all, were given', async () => {
    const storage = storageOf({ ttl: 60 })
    await storage.setItem('usual', 1)
    await storage.setItem('short', 1, { ttl: 1 })
    await storage.setItemRaw('raw', 1, { ttl: 2 })
    await placement().advance(1001)
    expect(await Promise.all(['usual', 'short', 'raw'].map((key) => storage.hasItem(key)))).toEqual([
      true,
      false,
      true,
    ])
    await placement().advance(1000)
    expect(await storage.hasItem('raw')).toBe(false)
    await placement().advance(58_000)
    expect(await storage.hasItem('usual')).toBe(false)
  })

  it('lists and clears what is below a base, within its own', async () => {
    const { cache } = placement()
    await cache.set('other', 'stays')
    await cache.set('application:x', 'stays')
    const storage = storageOf({ base: 'app' })
    const names = Array.from({ length: 120 }, (_, number) => `s:${number}:x`)
    await storage.setItems(names.map((key) => ({ key, value: key })))
    await storage.setItem('t:1', 1)
    expect((await storage.getKeys('s')).sort()).toEqual([...names].sort())
    expect(await storage.getKeys('', { maxDepth: 1 })).toEqual(['t:1'])
    expect(await prefixStorage(storage, 's').getKeys('7')).toEqual(['7:x'])
    // unstorage itself clears whole mounts only.
    await storage.getMount().driver.clear?.('s:', {})
    expect(await storage.getKeys()).toEqual(['t:1'])
    await storage.clear()
    expect(await storage.getKeys()).toEqual([])
    const left: string[] = []
    for await (const { key } of cache.scan()) left.push(key)
    expect(left.sort()).toEqual(['application:x', 'other'])
    const whole = storageOf({}, cache.namespace('whole'))
    await whole.setItem('a', 1)
    await whole.clear()
    expect(await whole.getKeys()).toEqual([])
  })

  it('can be mounted, watched by unstorage itself, and disposed of', async () => {
    const storage = createStorage()
    storage.mount('ram', ramcacheDriver(placement().cache))
    const changes: string[] = []
    await storage.watch((event, key) => changes.push(`${event} ${key}`))
    await storage.setItem('ram:a', 1)
    await storage.removeItem('ram:a')
    await storage.setItem('ram:b', 2)
    expect(changes).toEqual(['update ram:a', 'remove ram:a', 'update ram:b'])
    expect(await storage.getKeys('ram')).toEqual(['ram:b'])
    await storage.dispose()
    expect(await placement().cache.get('b')).toBe('2')
  })
})

inPlacements(
  'what the unstorage driver knows of an item',
  (placement) => {
    it('is when it was written, its size and how long it stays', async () => {
      const storage = createStorage({ driver: ramcacheDriver(placement().cache) })
      const before = Date.now()
      await storage.setItem('key', 'value', { ttl: 3600 })
      const { mtime, size, ttl } = await storage.getMeta('key')
      expect(Number(mtime)).toBeGreaterThanOrEqual(before)
      expect(Number(mtime)).toBeLessThanOrEqual(Date.now())
      expect(size).toBe((await placement().cache.getEntry('key'))?.size)
      expect(ttl).toBeGreaterThan(3000)
      expect(ttl).toBeLessThanOrEqual(3600)
      await storage.setItem('ever', 'value')
      await storage.setMeta('ever', { colour: 'red' })
      expect(await storage.getMeta('ever')).toMatchObject({ colour: 'red', mtime: expect.any(Date) })
      expect(await storage.getMeta('ever')).not.toHaveProperty('ttl')
      expect(await storage.getMeta('none')).toEqual({})
    })
  },
  // By the clock of the machine.
  { __internal: { warms: false } } as never,
)

describe('the unstorage driver', () => {
  it('says what is wrong with its arguments', async () => {
    const cache = { get() {}, set() {} } as unknown as Cache
    const make = (options: unknown) => () => ramcacheDriver(cache, options as RamcacheDriverOptions)
    expect((await failure('ERR_RAMCACHE_CONFIG', make({ bas: 'a' }))).message).toContain('did you mean base?')
    for (const options of [{ base: 1 }, { ttl: -1 }, { ttl: '1d' }, { ttl: Number.NaN }, null]) {
      await failure('ERR_RAMCACHE_CONFIG', make(options))
    }
    await failure('ERR_RAMCACHE_CONFIG', () => ramcacheDriver(undefined as never))
  })
})
