/** @keyv/redis against a daemon. */
import KeyvRedis from '@keyv/redis'
import Keyv from 'keyv'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Served } from './support.ts'

let served: Served
let store: KeyvRedis<unknown>
let keyv: Keyv

beforeAll(async () => {
  served = await Served.start()
})
beforeEach(async () => {
  store = new KeyvRedis({ socket: { path: served.socket, tls: false } })
  keyv = new Keyv({ store, namespace: 'app', useKeyPrefix: false, throwOnErrors: true })
})
afterEach(async () => {
  await keyv.clear()
  await keyv.disconnect()
})
afterAll(() => served.end())

describe('keyv', () => {
  it('stores values with a time to live', async () => {
    expect(await keyv.set('user', { name: 'Ada' })).toBe(true)
    expect(await keyv.get('user')).toEqual({ name: 'Ada' })
    expect(await keyv.has('user')).toBe(true)
    expect(await keyv.delete('user')).toBe(true)
    expect(await keyv.get('user')).toBeUndefined()
    await keyv.set('short', 1, 50)
    // Judged by the store, not by the time that Keyv writes into the value.
    await expect.poll(() => store.client.dbSize()).toBe(0)
  })

  it('stores, reads and removes many at a time', async () => {
    const entries = [1, 2, 3].map((value) => ({ key: `many ${value}`, value, ttl: 60_000 }))
    await keyv.setMany(entries)
    expect(await store.client.ttl('app::many 1')).toBeGreaterThan(58)
    const keys = [...entries.map(({ key }) => key), 'none']
    expect(await keyv.getMany(keys)).toEqual([1, 2, 3, undefined])
    expect(await keyv.hasMany(keys)).toEqual([true, true, true, false])
    expect(await keyv.deleteMany(keys.slice(0, 2))).toBe(true)
    expect(await keyv.getMany(keys)).toEqual([undefined, undefined, 3, undefined])
  })

  it('walks and clears its namespace alone', async () => {
    const other = new Keyv({
      store: new KeyvRedis({ socket: { path: served.socket, tls: false } }),
      namespace: 'other',
    })
    await other.set('a', 'stays')
    const keys = Array.from({ length: 300 }, (_, number) => `key ${number}`)
    await keyv.setMany(keys.map((key) => ({ key, value: key })))
    const found: string[] = []
    for await (const [key] of keyv.iterator?.('app') ?? []) found.push(key as string)
    expect(found.map((key) => key.replace(/^app:+/, '')).sort()).toEqual(keys.sort())
    await keyv.clear()
    expect(await keyv.get('key 1')).toBeUndefined()
    expect(await other.get('a')).toBe('stays')
    await other.disconnect()
  })
})
