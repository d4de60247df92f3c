/** node-redis against a daemon: both protocols, and its client-side cache. */
import { BasicClientSideCache, createClient, RESP_TYPES, WatchError } from 'redis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { connect } from '../../src/index.ts'
import { cli } from '../daemon/support.ts'
import { Served } from './support.ts'

let served: Served
const clients: { destroy(): void }[] = []

async function open<Resp extends 2 | 3>(RESP: Resp, clientSideCache?: BasicClientSideCache) {
  const client = createClient({
    RESP,
    socket: { path: served.socket, tls: false, reconnectStrategy: 20 },
    ...(clientSideCache && { clientSideCache }),
  })
  // Said of every attempt while the daemon is away.
  client.on('error', () => {})
  await client.connect()
  clients.push(client)
  return client
}

beforeAll(async () => {
  served = await Served.start()
})
afterEach(() => {
  for (const client of clients.splice(0)) client.destroy()
})
afterAll(() => served.end())

describe.each([2, 3] as const)('node-redis with RESP%i', (resp) => {
  let redis: Awaited<ReturnType<typeof open>>
  beforeEach(async () => {
    redis = await open(resp)
    await redis.flushAll()
  })

  it('stores strings, bytes and numbers, with conditions and times', async () => {
    expect(await redis.set('text', 'gr\u00fc\u00dfe', { expiration: { type: 'EX', value: 100 } })).toBe('OK')
    expect(await redis.get('text')).toBe('gr\u00fc\u00dfe')
    expect(await redis.ttl('text')).toBeGreaterThan(98)
    expect(await redis.set('text', 'x', { condition: 'NX' })).toBeNull()
    expect(await redis.get('none')).toBeNull()
    const bytes = Buffer.from([0, 255, 13, 10, 128])
    await redis.set('bytes', bytes)
    const raw = redis.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer })
    expect(await raw.get('bytes')).toEqual(bytes)
    expect(await redis.incrBy('count', 42)).toBe(42)
    expect(await redis.mGet(['count', 'none'])).toEqual(['42', null])
    await expect(redis.incr('bytes')).rejects.toThrow('ERR value is not an integer or out of range')
    await expect(redis.hSet('h', 'a', 'b')).rejects.toThrow("ERR unknown command 'HSET'")
    await redis.pSetEx('short', 30, 'x')
    await expect.poll(() => redis.exists('short')).toBe(0)
    expect(await redis.unlink(['text', 'bytes', 'none'])).toBe(2)
    const info = await redis.clientInfo()
    expect(info).toMatchObject({ resp, libName: 'node-redis' })
  })

  it('pipelines and has transactions', async () => {
    const answers = await Promise.all(
      Array.from({ length: 500 }, (_, number) => redis.set(`k${number}`, number)),
    )
    expect(new Set(answers)).toEqual(new Set(['OK']))
    expect(await redis.multi().set('a', '1').incr('a').get('a').exec()).toEqual(['OK', 2, '2'])
    const other = await open(resp)
    await redis.watch('a')
    await other.set('a', 'changed')
    await expect(redis.multi().set('a', 'mine').exec()).rejects.toThrow(WatchError)
    expect(await redis.get('a')).toBe('changed')
  })

  it('scans', async () => {
    const keys = Array.from({ length: 1000 }, (_, number) => `key ${number}`)
    await redis.mSet(keys.map((key) => [key, key] as [string, string]))
    await redis.set('other', '1')
    const found = new Set<string>()
    for await (const page of redis.scanIterator({ MATCH: 'key *', COUNT: 100 })) {
      for (const key of page) found.add(key as string)
    }
    expect([...found].sort()).toEqual(keys.sort())
  })

  it('publishes and subscribes, and goes on after a restart', async () => {
    const listener = await open(resp)
    const heard: string[] = []
    await listener.subscribe('news', (message, channel) => heard.push(`${channel} ${message}`))
    await listener.pSubscribe('n*', (message, channel) => heard.push(`* ${channel} ${message}`))
    expect(await redis.publish('news', 'first')).toBe(2)
    await expect.poll(() => heard).toEqual(['news first', '* news first'])
    if (resp === 3) expect(await listener.ping()).toBe('PONG')
    await redis.set('kept', 'value')
    await served.stop()
    const answer = redis.get('kept')
    await served.start()
    expect(await answer).toBe('value')
    await expect.poll(() => redis.publish('news', 'second')).toBe(2)
    await expect.poll(() => heard.slice(-1)).toEqual(['* news second'])
  })

  it('asks what commands there are', async () => {
    expect(await redis.commandCount()).toBeGreaterThan(90)
    expect((await redis.commandInfo(['get']))[0]).toMatchObject({ name: 'get', arity: 2, firstKeyIndex: 1 })
    expect(await redis.commandGetKeys(['MSET', 'a', '1', 'b', '2'])).toEqual(['a', 'b'])
    expect(await redis.commandList({ FILTERBY: { type: 'PATTERN', value: 'mse*' } })).toEqual([
      'mset',
      'msetnx',
    ])
  })
})

describe('the cache of node-redis', () => {
  let cache: BasicClientSideCache
  let redis: Awaited<ReturnType<typeof open>>
  let other: Awaited<ReturnType<typeof open>>
  beforeEach(async () => {
    cache = new BasicClientSideCache({ ttl: 0, maxEntries: 0, evictPolicy: 'LRU', recordStats: true })
    redis = await open(3, cache)
    other = await open(3)
    await other.flushAll()
  })

  /** Reads a key twice: the second time out of the cache. */
  async function fill(key: string, value: string | null): Promise<void> {
    await expect.poll(() => redis.get(key)).toBe(value)
    const { hitCount } = cache.stats()
    expect(await redis.get(key)).toBe(value)
    expect(cache.stats().hitCount).toBe(hitCount + 1)
  }

  it('is told of changes, whoever makes them', async () => {
    await other.set('key', '1')
    await fill('key', '1')
    await other.set('key', '2')
    await fill('key', '2')
    const library = await connect(`unix://${served.socket}`)
    await library.set('key', '3')
    await fill('key', '3')
    await library.close()
    await cli(['set', 'key', '4', '-s', served.socket])
    await fill('key', '4')
    // What is not there is kept too.
    await other.del('key')
    await fill('key', null)
    await other.set('key', '5', { expiration: { type: 'PX', value: 200 } })
    await fill('key', '5')
    await fill('key', null)
  })

  it('is told when everything is gone', async () => {
    await other.mSet({ a: '1', b: '2' })
    await fill('a', '1')
    await fill('b', '2')
    await other.flushDb()
    await fill('a', null)
    await fill('b', null)
  })

  it('keeps only what was not invalidated', async () => {
    await other.mSet({ a: '1', b: '2' })
    await fill('a', '1')
    await fill('b', '2')
    await other.set('a', '3')
    await fill('a', '3')
    const { hitCount } = cache.stats()
    expect(await redis.get('b')).toBe('2')
    expect(cache.stats().hitCount).toBe(hitCount + 1)
  })

  it('begins again after a restart', async () => {
    await other.set('key', '1')
    await fill('key', '1')
    await served.stop()
    await served.start()
    await other.set('key', '2')
    await fill('key', '2')
    await other.set('key', '3')
    await fill('key', '3')
  })
})
