/** What a client gets that takes JavaScript: objects, blobs, scans of all tiers, statistics. */
import { pipeline } from 'node:stream/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openEmbedded, openTiered, type Placement } from '../support/stores.ts'
import { ErrorReply, type Reply, socketOf, Wire } from './support.ts'

describe.each([
  ['in RAM alone', openEmbedded],
  ['with an SSD tier', openTiered],
])('the control plane of a store %s', (_, openStore) => {
  let place: Placement
  let wire: Wire
  const hasTiers = openStore === openTiered

  beforeEach(async () => {
    place = await openStore()
    wire = await Wire.open(socketOf(place.dir))
  })
  afterEach(async () => {
    wire.close()
    await place.end()
  })

  it('gives objects as JSON, and says what they are', async () => {
    await place.cache.set('object', { name: 'Ada', list: [1, 2] })
    await place.cache.set('array', [1, { a: null }])
    await place.cache.set('map', new Map([['a', 1]]))
    await place.cache.set('big', 12n)
    await place.cache.set('yes', true)
    await place.cache.set('text', 'plain')
    expect(await wire.ask('GET', 'object')).toBe('{"name":"Ada","list":[1,2]}')
    expect(await wire.ask('MGET', 'array', 'none', 'text', 'map', 'big', 'yes')).toEqual([
      '[1,{"a":null}]',
      null,
      'plain',
      '{"$map":[["a",1]]}',
      '{"$bigint":"12"}',
      'true',
    ])
    expect(await wire.ask('STRLEN', 'array')).toBe(14)
    expect(await wire.ask('GETRANGE', 'array', 1, -2)).toBe('1,{"a":null}')
    const types: Reply[] = []
    for (const key of ['object', 'array', 'map', 'big', 'yes', 'text', 'none'])
      types.push(await wire.ask('TYPE', key))
    expect(types).toEqual(['object', 'array', 'object', 'object', 'object', 'string', 'none'])
    expect(await wire.ask('APPEND', 'object', 'x')).toMatchObject({
      text: expect.stringMatching(/^WRONGTYPE /),
    })
    expect(await wire.ask('INCR', 'array')).toMatchObject({ text: expect.stringMatching(/^WRONGTYPE /) })
    expect(await wire.ask('SET', 'object', 'now text')).toBe('OK')
  })

  it('answers what has begun when the store is closed', async () => {
    await place.cache.set('object', { a: 1 })
    for (let count = 0; count < 300; count++) wire.send('GET', 'object')
    expect(await wire.read()).toBe('{"a":1}')
    const closed = place.cache.close()
    // Those that have not begun are not answered: the connection ends.
    let reply: Reply | undefined = '{"a":1}'
    while (reply !== undefined) {
      expect(reply).toBe('{"a":1}')
      reply = await wire.read().catch(() => undefined)
    }
    await closed
  })

  it('answers in the order of a pipeline', async () => {
    await place.cache.set('object', { a: 1 })
    for (let round = 0; round < 20; round++) {
      wire.send('GET', 'object')
      wire.send('SET', 'plain', round)
      wire.send('GET', 'plain')
      wire.send('TYPE', 'object')
    }
    for (let round = 0; round < 20; round++) {
      expect([await wire.read(), await wire.read(), await wire.read(), await wire.read()]).toEqual([
        '{"a":1}',
        'OK',
        String(round),
        'object',
      ])
    }
  })

  it('takes and gives blobs', async () => {
    const bytes = Buffer.alloc(100_000, 'abcdefghij')
    const id = (await wire.ask('RC.BLOB.WRITE', 'default', 'blob', 'TTL', 60_000, 'TAGS', 1, 't')) as string
    for (let at = 0; at < bytes.length; at += 30_000) {
      expect(await wire.ask('RC.BLOB.CHUNK', id, bytes.subarray(at, at + 30_000))).toBe('OK')
    }
    expect(await place.cache.has('blob')).toBe(false)
    expect(await wire.ask('RC.BLOB.END', id)).toBe('OK')
    expect(await place.cache.getEntry('blob')).toMatchObject({
      size: bytes.length,
      isBlob: true,
      tags: ['t'],
    })
    expect(await wire.ask('GET', 'blob')).toBe(bytes.toString())
    expect(await wire.ask('STRLEN', 'blob')).toBe(bytes.length)
    expect(await wire.ask('GETRANGE', 'blob', 49_998, 50_003)).toBe('ijabcd')
    expect(await wire.ask('TYPE', 'blob')).toBe('blob')
    expect(await wire.ask('RC.BLOB.END', id)).toMatchObject({
      text: expect.stringMatching(/^RC UNAVAILABLE /),
    })
    const other = (await wire.ask('RC.BLOB.WRITE', 'default', 'other')) as string
    await wire.ask('RC.BLOB.CHUNK', other, bytes)
    expect(await wire.ask('RC.BLOB.ABORT', other)).toBe('OK')
    expect(await place.cache.has('other')).toBe(false)
  })

  it('forgets blobs of a connection that is gone', async () => {
    const second = await Wire.open(socketOf(place.dir))
    const id = (await second.ask('RC.BLOB.WRITE', 'default', 'half')) as string
    await second.ask('RC.BLOB.CHUNK', id, Buffer.alloc(50_000))
    second.close()
    expect(await wire.ask('RC.BLOB.CHUNK', id, 'x')).toMatchObject({
      text: expect.stringContaining(`"${id}"`),
    })
    await place.cache.close()
    place = await place.reopen()
    expect(await place.cache.has('half')).toBe(false)
    wire = await Wire.open(socketOf(place.dir))
  })

  it('scans, by our command and by those of Redis', async () => {
    for (let number = 0; number < 700; number++) await place.cache.set(`key:${number}`, 'v')
    await place.cache.set('blob?', 'no')
    await pipeline([Buffer.alloc(50_000)], place.cache.createWriteStream('blob'))
    if (hasTiers) await place.chill()
    const keys = new Set<Reply>()
    let cursor = ''
    do {
      const page = (await wire.ask('RC.SCAN', 'default', 'key:', 'any', 100, cursor)) as [string, Reply[][]]
      for (const [key] of page[1]) keys.add(key as Reply)
      cursor = page[0]
    } while (cursor !== '')
    expect(keys.size).toBe(700)
    const rows: Reply[][] = []
    cursor = ''
    do {
      const page = (await wire.ask('RC.SCAN', 'default', 'blob', 'any', 100, cursor)) as [string, Reply[][]]
      rows.push(...page[1])
      cursor = page[0]
    } while (cursor !== '')
    const blob = rows.find(([key]) => key === 'blob')
    expect(blob?.[1]).toBe(50_000)
    expect(blob?.[7]).toBe(1)
    const found = new Set<Reply>()
    let place2: Reply = '0'
    do {
      const reply = (await wire.ask('SCAN', place2, 'MATCH', 'key:*', 'COUNT', 50)) as [string, Reply[]]
      for (const key of reply[1]) found.add(key)
      place2 = reply[0]
    } while (place2 !== '0')
    expect(found).toEqual(keys)
    expect(((await wire.ask('KEYS', 'key:1?')) as string[]).sort()).toEqual(
      Array.from({ length: 10 }, (_, digit) => `key:1${digit}`),
    )
    expect(await wire.ask('DBSIZE')).toBe(702)
    expect(await wire.ask('RANDOMKEY')).toMatch(/^(key:\d+|blob\??)$/)
    expect(await wire.ask('RC.SCAN', 'nowhere', '', 'any', 10, '')).toEqual(['', []])
    expect(await wire.ask('RC.SCAN', 'default', '', 'any', 10, 'zzz')).toMatchObject({
      text: expect.stringMatching(/^RC CONFIG "zzz"/),
    })
  })

  it('shows what stats() shows', async () => {
    await place.cache.set('k', 'v')
    const stats = JSON.parse((await wire.ask('RC.STATS')) as string)
    expect(stats).toMatchObject({ owner: { pid: process.pid, mode: 'embedded' }, sets: 1 })
    expect(Object.keys(stats)).toEqual(Object.keys(await place.cache.stats()))
  })

  it('does not end a process that it is a part of', async () => {
    expect(await wire.ask('RC.SHUTDOWN')).toMatchObject({ text: expect.stringMatching(/^RC UNAVAILABLE /) })
    expect(await wire.ask('SAVE')).toBe('OK')
    expect(await wire.ask('PING')).toBe('PONG')
  })
})

describe('transactions', () => {
  let place: Placement
  beforeEach(async () => {
    place = await openTiered()
  })
  afterEach(() => place.end())

  it('run with keys that were cold, and give up when a watched one has changed', async () => {
    await place.cache.set('a', 'old')
    await place.cache.set('n', 1)
    await place.chill()
    const wire = await Wire.open(socketOf(place.dir))
    for (const command of [['MULTI'], ['GET', 'a'], ['INCR', 'n'], ['SET', 'a', 'new', 'XX'], ['NOSUCH']]) {
      await wire.ask(...command)
    }
    expect(await wire.ask('EXEC')).toEqual(
      new ErrorReply('EXECABORT Transaction discarded because of previous errors.'),
    )
    for (const command of [['MULTI'], ['GET', 'a'], ['INCR', 'n'], ['SET', 'a', 'new', 'XX'], ['GET', 'a']]) {
      await wire.ask(...command)
    }
    expect(await wire.ask('EXEC')).toEqual(['old', 2, 'OK', 'new'])
    await place.chill()
    await wire.ask('WATCH', 'a')
    await wire.ask('MULTI')
    await wire.ask('SET', 'a', 'mine')
    await place.cache.set('a', 'theirs')
    expect(await wire.ask('EXEC')).toBe(null)
    await wire.ask('WATCH', 'a', 'none')
    await place.chill()
    await wire.ask('MULTI')
    await wire.ask('SET', 'a', 'mine')
    expect(await wire.ask('EXEC')).toEqual(['OK'])
    expect(await place.cache.get('a')).toBe('mine')
    // It never expires, so this changes nothing.
    await wire.ask('WATCH', 'a')
    await wire.ask('GETEX', 'a', 'PERSIST')
    await wire.ask('MULTI')
    expect(await wire.ask('EXEC')).toEqual([])
    wire.close()
  })
})
