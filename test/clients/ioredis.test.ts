/** ioredis against a daemon. */
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { connect } from '../../src/index.ts'
import { Served } from './support.ts'

let served: Served
let redis: Redis
const others: Redis[] = []

function client(options: object = {}): Redis {
  const redis = new Redis(served.socket, {
    retryStrategy: () => 20,
    maxRetriesPerRequest: null,
    ...options,
  })
  // Said of every attempt while the daemon is away.
  redis.on('error', () => {})
  others.push(redis)
  return redis
}

beforeAll(async () => {
  served = await Served.start()
})
beforeEach(async () => {
  redis = client()
  await redis.flushall()
})
afterEach(() => {
  for (const other of others.splice(0)) other.disconnect()
})
afterAll(() => served.end())

describe('ioredis', () => {
  it('is ready, and stores strings, bytes and numbers', async () => {
    await redis.set('text', 'gr\u00fc\u00dfe')
    expect(await redis.get('text')).toBe('gr\u00fc\u00dfe')
    const bytes = Buffer.from([0, 255, 13, 10, 128])
    await redis.set('bytes', bytes)
    expect(await redis.getBuffer('bytes')).toEqual(bytes)
    expect(await redis.incrby('count', 41)).toBe(41)
    expect(await redis.incr('count')).toBe(42)
    expect(await redis.incrbyfloat('count', 0.5)).toBe('42.5')
    expect(await redis.mget('text', 'none', 'count')).toEqual(['gr\u00fc\u00dfe', null, '42.5'])
    expect(await redis.append('text', '!')).toBe(8)
    expect(await redis.getrange('text', 0, 1)).toBe('gr')
    expect(await redis.exists('text', 'none', 'text')).toBe(2)
    expect(await redis.type('text')).toBe('string')
    expect(await redis.del('text', 'bytes', 'none')).toBe(2)
    await expect(redis.set('text', 'x').then(() => redis.incr('text'))).rejects.toThrow(
      'ERR value is not an integer or out of range',
    )
    await expect(redis.lpush('list', 'x')).rejects.toThrow("ERR unknown command 'lpush'")
  })

  it('reads what processes with the library have written', async () => {
    const cache = await connect(`unix://${served.socket}`)
    await cache.set('object', { name: 'Ada', tags: [1, 2] })
    expect(JSON.parse((await redis.get('object')) as string)).toEqual({ name: 'Ada', tags: [1, 2] })
    expect(await redis.type('object')).toBe('object')
    await redis.set('plain', 'text')
    expect(await cache.get('plain')).toBe('text')
    await cache.close()
  })

  it('keeps conditions and times', async () => {
    expect(await redis.set('lock', 'a', 'PX', 60_000, 'NX')).toBe('OK')
    expect(await redis.set('lock', 'b', 'PX', 60_000, 'NX')).toBeNull()
    expect(await redis.set('lock', 'c', 'XX', 'GET')).toBe('a')
    expect(await redis.ttl('lock')).toBe(-1)
    expect(await redis.expire('lock', 100)).toBe(1)
    expect(await redis.ttl('lock')).toBeGreaterThan(98)
    expect(await redis.persist('lock')).toBe(1)
    await redis.psetex('short', 30, 'x')
    await expect.poll(() => redis.get('short')).toBeNull()
    expect(await redis.pttl('short')).toBe(-2)
  })

  it('pipelines, by itself too', async () => {
    const answers = await redis.pipeline().set('a', 1).get('a').incr('a').hget('a', 'b').get('a').exec()
    expect(answers?.map(([error, value]) => error?.message ?? value)).toEqual([
      'OK',
      '1',
      2,
      "ERR unknown command 'hget', with args beginning with: 'a' 'b' ",
      '2',
    ])
    const automatic = client({ enableAutoPipelining: true })
    const many = Array.from({ length: 500 }, (_, number) => automatic.set(`many ${number}`, number))
    expect(new Set(await Promise.all(many))).toEqual(new Set(['OK']))
    expect(await redis.get('many 499')).toBe('499')
  })

  it('has transactions that nobody comes between, and that WATCH can stop', async () => {
    expect(await redis.multi().set('a', 1).incr('a').get('a').exec()).toEqual([
      [null, 'OK'],
      [null, 2],
      [null, '2'],
    ])
    const other = client()
    await redis.watch('a')
    await other.set('a', 'changed')
    expect(await redis.multi().set('a', 'mine').exec()).toBeNull()
    expect(await redis.get('a')).toBe('changed')
  })

  it('scans all keys once or more, and those that match', async () => {
    const keys = Array.from({ length: 3000 }, (_, number) => `key ${number}`)
    await redis.mset(Object.fromEntries(keys.map((key) => [key, key])))
    await redis.set('other', 1)
    const found = new Set<string>()
    for await (const page of redis.scanStream({ match: 'key *', count: 100 })) {
      for (const key of page as string[]) found.add(key)
    }
    expect([...found].sort()).toEqual(keys.sort())
    expect(await redis.dbsize()).toBe(3001)
    expect((await redis.keys('key 1?')).length).toBe(10)
  })

  it('publishes and subscribes, and is subscribed again after a restart', async () => {
    const listener = client()
    await listener.subscribe('news')
    await listener.psubscribe('ne*')
    const heard: string[] = []
    listener.on('message', (channel, message) => heard.push(`${channel} ${message}`))
    listener.on('pmessage', (pattern, channel, message) => heard.push(`${pattern} ${channel} ${message}`))
    expect(await redis.publish('news', 'first')).toBe(2)
    await expect.poll(() => heard).toEqual(['news first', 'ne* news first'])
    await redis.set('kept', 'value')
    await served.stop()
    // Asked while nobody listens: answered when somebody does.
    const answer = redis.get('kept')
    await served.start()
    expect(await answer).toBe('value')
    await expect.poll(() => redis.publish('news', 'second')).toBe(2)
    await expect.poll(() => heard.slice(-1)).toEqual(['ne* news second'])
  })

  it('monitors what others do', async () => {
    const monitor = await redis.monitor()
    monitor.on('error', () => {})
    others.push(monitor)
    const seen: unknown[][] = []
    monitor.on('monitor', (...line) => seen.push(line))
    await client().set('key', 'a "b"')
    const isIt = ([, args]: unknown[]) => (args as string[])[0] === 'set'
    await expect.poll(() => seen.some(isIt)).toBe(true)
    const [time, args, source, database] = seen.find(isIt) as unknown[]
    expect(args).toEqual(['set', 'key', 'a "b"'])
    expect(Number(time)).toBeGreaterThan(1_600_000_000)
    expect([source, database]).toEqual([`unix:${served.socket}`, '0'])
  })
})
