/** `ramcache/keyv` under Keyv and its own test suite, and under cache-manager. */
import keyvTestSuite, { keyvIteratorTests } from '@keyv/test-suite'
import { createCache } from 'cache-manager'
import Keyv, { type KeyvOptions, type KeyvStoreAdapter } from 'keyv'
import * as vitest from 'vitest'
import { describe, expect, it } from 'vitest'
import { KeyvRamcache } from '../../src/adapters/keyv.ts'
import type { Cache } from '../../src/index.ts'
import { failure } from '../support/errors.ts'
import { inPlacements } from './placements.ts'

inPlacements('the suite of Keyv', (placement) => {
  const store = () => new KeyvRamcache(placement().cache)
  keyvTestSuite(vitest, Keyv, store)
  keyvIteratorTests(vitest, Keyv, store)
})

inPlacements('the Keyv adapter', (placement) => {
  const cacheOf = () => placement().cache
  const keyvOf = (options: Omit<KeyvOptions, 'store'> = {}) => {
    // The types agree: a Keyv takes it without a cast.
    const store: KeyvStoreAdapter = new KeyvRamcache(cacheOf())
    return new Keyv(store, { throwOnErrors: true, ...options })
  }

  it('ends entries by the clock of the store', async () => {
    const keyv = keyvOf({ namespace: 'app' })
    await keyv.set('short', 1, 50.5)
    await keyv.set('long', 1, Number.MAX_SAFE_INTEGER)
    await keyv.set('ever', 1)
    await keyv.set('over', 1)
    await keyv.set('over', 1, -1)
    expect(await keyv.hasMany(['short', 'long', 'ever', 'over'])).toEqual([true, true, true, false])
    await placement().advance(52)
    expect(await keyv.hasMany(['short', 'long', 'ever'])).toEqual([false, true, true])
    expect((await cacheOf().namespace('app').getEntry('app:ever'))?.expiresAt).toBeUndefined()
  })

  it('stores, reads and removes many at a time', async () => {
    const keyv = keyvOf()
    const entries = [
      { key: 'c', value: 'c' },
      { key: 'a', value: 'first', ttl: 100 },
      { key: 'b', value: 'b', ttl: 100 },
      { key: 'a', value: 'last' },
    ]
    expect(await keyv.setMany(entries)).toEqual([true, true, true, true])
    const keys = ['c', 'none', 'a', 'b']
    expect(await keyv.getMany(keys)).toEqual(['c', undefined, 'last', 'b'])
    await placement().advance(101)
    expect(await keyv.getMany(keys)).toEqual(['c', undefined, 'last', undefined])
    expect(await keyv.deleteMany(['none', 'c'])).toBe(true)
    expect(await keyv.deleteMany(['none', 'c'])).toBe(false)
  })

  it('keeps its namespaces apart, whatever their names', async () => {
    const names = ['app', 'default', 'a/b', 'Küche 1', undefined]
    const stores = names.map(
      (namespace) => new KeyvRamcache(cacheOf(), namespace === undefined ? {} : { namespace }),
    )
    for (const [index, store] of stores.entries()) await store.set('key', index)
    for (const [index, store] of stores.entries()) expect(await store.get('key')).toBe(index)
    expect(await cacheOf().get('key')).toBe(4)
    await stores[1]?.clear()
    expect(await Promise.all(stores.map((store) => store.has('key')))).toEqual([
      true,
      false,
      true,
      true,
      true,
    ])
    const tooLong = new KeyvRamcache(cacheOf(), { namespace: 'n'.repeat(65) })
    await failure('ERR_RAMCACHE_CONFIG', () => tooLong.get('key'))
  })

  it('walks a namespace of several pages', async () => {
    const keyv = keyvOf({ namespace: 'many', useKeyPrefix: false })
    await keyvOf({ namespace: 'other' }).set('a', 'stays')
    const keys = Array.from({ length: 250 }, (_, number) => `key ${number}`)
    await keyv.setMany(keys.map((key) => ({ key, value: `of ${key}` })))
    const found = new Map<string, unknown>()
    for await (const [key, value] of keyv.iterator?.(undefined) ?? []) found.set(key, value)
    expect([...found.keys()].sort()).toEqual([...keys].sort())
    expect(found.get('key 7')).toBe('of key 7')
  })

  it('stores values as they are for a Keyv without a serializer', async () => {
    const keyv = keyvOf({ serialize: undefined as never, deserialize: undefined as never, namespace: 'raw' })
    const value = { when: new Date(5), bytes: Buffer.from('b'), set: new Set([1n]) }
    await keyv.set('value', value)
    await keyv.set('undefined', undefined)
    expect(await keyv.get('value')).toEqual(value)
    expect(await cacheOf().namespace('raw').get('raw:value')).toEqual({ value })
    expect(await keyv.has('undefined')).toBe(true)
    expect(await keyv.get('undefined')).toBeUndefined()
  })

  it('leaves the cache open', async () => {
    const keyv = keyvOf()
    await keyv.disconnect()
    await keyv.set('k', 1)
    expect(await keyv.get('k')).toBe(1)
  })

  it('serves cache-manager', async () => {
    const manager = createCache({ stores: [keyvOf()], ttl: 10_000 })
    let calls = 0
    const wrapped = () => manager.wrap('user', async () => ({ calls: ++calls }))
    expect(await wrapped()).toEqual({ calls: 1 })
    expect(await wrapped()).toEqual({ calls: 1 })
    expect(await manager.ttl('user')).toBeGreaterThan(Date.now())
    await manager.mset([
      { key: 'a', value: 1 },
      { key: 'b', value: 2, ttl: 60_000 },
    ])
    expect(await manager.mget(['b', 'none', 'a'])).toEqual([2, undefined, 1])
    await placement().advance(10_001)
    expect(await manager.mget(['b', 'a', 'user'])).toEqual([2, undefined, undefined])
    await manager.mdel(['b'])
    expect(await manager.get('b')).toBeUndefined()
    await manager.clear()
    expect(await wrapped()).toEqual({ calls: 2 })
  })
})

describe('the Keyv adapter', () => {
  it('says what is wrong with its arguments', async () => {
    const cache = { get() {}, set() {} } as unknown as Cache
    const unknown = await failure(
      'ERR_RAMCACHE_CONFIG',
      () => new KeyvRamcache(cache, { namespce: 'a' } as never),
    )
    expect(unknown.message).toContain('did you mean namespace?')
    await failure('ERR_RAMCACHE_CONFIG', () => new KeyvRamcache(cache, { namespace: 1 } as never))
    const attached = await failure('ERR_RAMCACHE_CONFIG', () => new KeyvRamcache({ get() {} } as never))
    expect(attached.message).toContain('open() or connect()')
    await failure('ERR_RAMCACHE_CONFIG', () => new KeyvRamcache(undefined as never))
  })
})
