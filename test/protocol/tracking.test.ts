/** CLIENT TRACKING: who has read a key is told when what it held is no longer so, whoever has changed it. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { connect } from '../../src/index.ts'
import { openEmbedded, openTiered, type Placement } from '../support/stores.ts'
import { ErrorReply, Push, type Reply, socketOf, Wire } from './support.ts'

const internal = { serverThreads: 2 }

let place: Placement
let reader: Wire
let writer: Wire

async function begin(options: object = {}): Promise<void> {
  place = await openEmbedded({ __internal: { ...internal, clock: 'manual', ...options } } as object)
  reader = await track('ON')
  writer = await Wire.open(socketOf(place.dir))
}

/** A connection that speaks RESP3 and tracks. */
async function track(...options: string[]): Promise<Wire> {
  const wire = await Wire.open(socketOf(place.dir))
  await wire.ask('HELLO', 3)
  expect(await wire.ask('CLIENT', 'TRACKING', ...options)).toBe('OK')
  return wire
}

const gone = (...keys: string[]) => new Push(['invalidate', keys])
const all = new Push(['invalidate', null])

/** Everything that has been pushed to a connection by now and was not read. */
async function pushes(wire: Wire): Promise<Push[]> {
  // Messages between threads arrive in their order: behind one that is sent last, there is none that was sent before.
  const marker = `marker ${Math.random()}`
  wire.send('CLIENT', 'CACHING', 'YES')
  wire.send('GET', marker)
  const found: Push[] = []
  for (let replies = 0; replies < 2; ) {
    const reply = await wire.read()
    if (reply instanceof Push) found.push(reply)
    else replies++
  }
  await writer.ask('SET', marker, '')
  for (;;) {
    const reply = (await wire.read()) as Push
    if (JSON.stringify(reply).includes(marker)) return found
    found.push(reply)
  }
}

afterEach(async () => {
  reader.close()
  writer.close()
  await place.end()
})

describe('a client that tracks', () => {
  beforeEach(() => begin())

  it('is told once of each key that it has read, and of no other', async () => {
    await writer.ask('SET', 'a', '1')
    await reader.ask('GET', 'a')
    await reader.ask('MGET', 'b', 'c')
    await writer.ask('SET', 'other', '1')
    await writer.ask('SET', 'a', '2')
    expect(await reader.read()).toEqual(gone('a'))
    await writer.ask('SET', 'a', '3')
    await writer.ask('SET', 'c', '1')
    expect(await reader.read()).toEqual(gone('c'))
    expect(await pushes(reader)).toEqual([])
  })

  it('is told of every kind of change', async () => {
    const changes = [
      ['SET', 'k', '2'],
      ['APPEND', 'k', '3'],
      ['INCR', 'k'],
      ['INCRBYFLOAT', 'k', '0.5'],
      ['SETRANGE', 'k', '0', '9'],
      ['GETSET', 'k', '1'],
      ['GETEX', 'k', 'EX', '100'],
      ['EXPIRE', 'k', '50'],
      ['PERSIST', 'k'],
      ['MSET', 'j', '1', 'k', '2'],
      ['RENAME', 'k', 'l'],
      ['RENAME', 'l', 'k'],
      ['COPY', 'j', 'k', 'REPLACE'],
      ['GETDEL', 'k'],
      ['SETNX', 'k', '1'],
      ['UNLINK', 'k'],
      ['RC.SET', 'default', 'k', '1', 'x'],
      ['RC.INCR', 'default', 'n', '1', 'INIT', '0'],
      ['RC.MSET', 'default', '1', 'k', '1', 'y'],
      ['RC.DEL', 'default', 'k', 'BLIND'],
    ]
    for (const change of changes) {
      const key = change.includes('n') ? 'n' : 'k'
      await reader.ask('GET', key)
      expect(await writer.ask(...change), change.join(' ')).not.toBeInstanceOf(ErrorReply)
      expect(await reader.read(), change.join(' ')).toEqual(gone(key))
    }
  })

  it('is told of what the process that owns the store and its other clients write', async () => {
    const { cache } = place
    const client = await connect(`unix://${socketOf(place.dir)}`)
    const changes = [
      () => cache.set('k', 1),
      () => cache.incr('k'),
      () => cache.touch('k', '1h'),
      () => cache.setMany([['k', { value: 2 }]]),
      () => cache.delete('k'),
      () => client.set('k', [1]),
      () => client.delete('k'),
      async () => cache.createWriteStream('k').end('bytes'),
    ]
    for (const change of changes) {
      await reader.ask('EXISTS', 'k')
      await change()
      expect(await reader.read(), String(change)).toEqual(gone('k'))
    }
    await client.close()
  })

  it('is told that all is gone when a namespace it works in is cleared', async () => {
    await reader.ask('GET', 'k')
    await place.cache.namespace('other').set('k', 1)
    await place.cache.namespace('other').clear()
    await place.cache.clear()
    expect(await reader.read()).toEqual(all)
    await reader.ask('SELECT', 3)
    await writer.ask('SELECT', 3)
    await writer.ask('FLUSHDB')
    expect(await reader.read()).toEqual(all)
    await writer.ask('RC.INVALIDATE', 'db3', 'a tag')
    expect(await reader.read()).toEqual(all)
    await writer.ask('SELECT', 0)
    expect(await pushes(await track('ON'))).toEqual([])
  })

  it('tells keys of the same name in different databases apart', async () => {
    await reader.ask('SELECT', 1)
    await reader.ask('GET', 'k')
    await writer.ask('SET', 'k', '1')
    await writer.ask('SELECT', 1)
    await writer.ask('SET', 'k', '1')
    expect(await reader.read()).toEqual(gone('k'))
    expect(await pushes(reader)).toEqual([])
  })

  it('is told when a key that it has read expires, at its last expiry when that slides', async () => {
    await writer.ask('SET', 'short', '1', 'PX', '1000')
    await place.cache.set('sliding', 'x', { idle: 1000 })
    await reader.ask('GET', 'short')
    await reader.ask('GET', 'sliding')
    await place.advance(600)
    // Slides on: until 1,600.
    await place.cache.get('sliding')
    await place.advance(401)
    await writer.ask('PING')
    expect(await reader.read()).toEqual(gone('short'))
    await place.advance(700)
    await writer.ask('PING')
    expect(await reader.read()).toEqual(gone('sliding'))
  })

  it('is told of its own changes, unless it says NOLOOP', async () => {
    const quiet = await track('ON', 'NOLOOP')
    for (const wire of [reader, quiet]) await wire.ask('GET', 'k')
    expect(await quiet.ask('SET', 'k', '1')).toBe('OK')
    expect(await reader.read()).toEqual(gone('k'))
    await reader.ask('GET', 'k')
    expect(await reader.ask('SET', 'k', '2')).toBe('OK')
    expect(await reader.read()).toEqual(gone('k'))
    // What it has changed itself it has to read again to hear of it.
    await quiet.ask('GET', 'k')
    await writer.ask('SET', 'k', '3')
    expect(await quiet.read()).toEqual(gone('k'))
    expect(await pushes(quiet)).toEqual([])
    quiet.close()
  })

  it('tracks what it reads inside MULTI, and nothing after OFF or RESET', async () => {
    await reader.ask('MULTI')
    await reader.ask('GET', 'a')
    await reader.ask('SET', 'b', '1')
    await reader.ask('EXEC')
    await writer.ask('SET', 'b', '2')
    await writer.ask('SET', 'a', '2')
    expect(await reader.read()).toEqual(gone('a'))
    for (const end of [['CLIENT', 'TRACKING', 'OFF'], ['RESET']]) {
      await reader.ask('GET', 'a')
      await reader.ask(...end)
      await writer.ask('SET', 'a', '2')
      await reader.ask('HELLO', 3)
      await reader.ask('CLIENT', 'TRACKING', 'ON')
      expect(await pushes(reader)).toEqual([])
    }
  })

  it('chooses what it tracks with OPTIN, OPTOUT and CLIENT CACHING', async () => {
    const chooses = await track('ON', 'OPTIN')
    await chooses.ask('GET', 'a')
    await chooses.ask('CLIENT', 'CACHING', 'YES')
    await chooses.ask('GET', 'b')
    await chooses.ask('GET', 'c')
    for (const key of ['a', 'b', 'c']) await writer.ask('SET', key, '1')
    expect(await pushes(chooses)).toEqual([gone('b')])
    await chooses.ask('CLIENT', 'CACHING', 'YES')
    await chooses.ask('MULTI')
    for (const key of ['a', 'b']) await chooses.ask('GET', key)
    await chooses.ask('EXEC')
    await chooses.ask('GET', 'c')
    for (const key of ['a', 'b', 'c']) await writer.ask('SET', key, '2')
    expect(await pushes(chooses)).toEqual([gone('a'), gone('b')])
    const leaves = await track('ON', 'OPTOUT')
    await leaves.ask('GET', 'a')
    await leaves.ask('CLIENT', 'CACHING', 'NO')
    await leaves.ask('GET', 'b')
    await leaves.ask('GET', 'c')
    for (const key of ['a', 'b', 'c']) await writer.ask('SET', key, '3')
    expect(await pushes(leaves)).toEqual([gone('a'), gone('c')])
    chooses.close()
    leaves.close()
  })

  it('hears of all keys with its prefixes in BCAST mode, read or not', async () => {
    const broad = await track('ON', 'BCAST', 'PREFIX', 'user:', 'PREFIX', 'order:', 'NOLOOP')
    await writer.ask('MSET', 'user:1', '1', 'other', '1', 'order:2', '1')
    await writer.ask('SET', 'user:1', '2')
    broad.send('SET', 'user:3', '1')
    await place.cache.namespace('elsewhere').set('user:4', 1)
    await place.cache.delete('order:2')
    const heard: Reply[] = []
    while (heard.length < 5) heard.push(await broad.read())
    const expected = [gone('user:1'), gone('order:2'), gone('user:1'), gone('order:2')]
    expect(heard.filter((reply) => reply !== 'OK')).toEqual(expected)
    const everything = await track('ON', 'BCAST')
    await writer.ask('SET', 'x', '1')
    expect(await everything.read()).toEqual(gone('x'))
    expect(await writer.ask('INFO', 'stats')).toContain('tracking_total_prefixes:3\r\n')
    broad.close()
    everything.close()
  })

  it('may have another connection told, in RESP2 as a message', async () => {
    const target = await Wire.open(socketOf(place.dir))
    const id = String(await target.ask('CLIENT', 'ID'))
    await target.ask('SUBSCRIBE', '__redis__:invalidate')
    const client = await Wire.open(socketOf(place.dir))
    expect(await client.ask('CLIENT', 'TRACKING', 'ON', 'REDIRECT', id)).toBe('OK')
    expect(await client.ask('CLIENT', 'GETREDIR')).toBe(Number(id))
    await client.ask('GET', 'k')
    await writer.ask('SET', 'k', '1')
    expect(await target.read()).toEqual(['message', '__redis__:invalidate', ['k']])
    await writer.ask('FLUSHALL')
    expect(await target.read()).toEqual(['message', '__redis__:invalidate', null])
    await client.ask('HELLO', 3)
    await client.ask('GET', 'k')
    target.close()
    await expect.poll(() => writer.ask('CLIENT', 'LIST', 'ID', id)).toBe('')
    await writer.ask('SET', 'k', '2')
    expect(await client.read()).toEqual(new Push(['tracking-redir-broken', Number(id)]))
    expect(((await client.ask('CLIENT', 'TRACKINGINFO')) as Map<Reply, Reply>).get('flags')).toEqual([
      'on',
      'broken_redirect',
    ])
    client.close()
  })

  it('costs nothing once nobody tracks any more', async () => {
    await reader.ask('GET', 'k')
    expect(await writer.ask('INFO')).toMatch(/tracking_clients:1\r\n[\s\S]*tracking_total_keys:1\r\n/)
    reader.close()
    await expect
      .poll(() => writer.ask('INFO'))
      .toMatch(/tracking_clients:0\r\n[\s\S]*tracking_total_keys:0\r\n/)
    reader = await track('ON')
  })
})

describe('what is tracked', () => {
  it('is bounded: beyond the limit keys are invalidated, and counted', async () => {
    await begin({ serverLimits: { tracking_bytes: 20_000 } })
    for (let number = 0; number < 1000; number++) reader.send('GET', `key ${number}`)
    let replies = 0
    const told = new Set<string>()
    while (replies < 1000) {
      const reply = await reader.read()
      if (reply instanceof Push) told.add(((reply.items[1] as Reply[]) ?? [])[0] as string)
      else replies++
    }
    const kept = Number(/tracking_total_keys:(\d+)/.exec((await writer.ask('INFO')) as string)?.[1])
    const hits = Number(/tracking_hits:(\d+)/.exec((await writer.ask('INFO')) as string)?.[1])
    expect(kept).toBeGreaterThan(50)
    expect(kept).toBeLessThan(125)
    expect(hits).toBe(1000 - kept)
    // Whatever it was, it was told of it or is still put down.
    for (let number = 0; number < 1000; number++) await writer.ask('SET', `key ${number}`, '')
    while (told.size < 1000) {
      told.add((((await reader.read()) as Push).items[1] as Reply[])[0] as string)
    }
    expect(await writer.ask('INFO')).toContain('tracking_total_keys:0\r\n')
    expect(await reader.ask('CLIENT', 'TRACKING', 'OFF')).toBe('OK')
    const long = ['PREFIX', 'x'.repeat(4096), 'PREFIX', 'y'.repeat(4096)]
    const more = ['PREFIX', 'z'.repeat(4096), 'PREFIX', 'w'.repeat(4096), 'PREFIX', 'v'.repeat(4096)]
    expect(await reader.ask('CLIENT', 'TRACKING', 'ON', 'BCAST', ...long, ...more)).toEqual(
      new ErrorReply('ERR what clients track takes 20000 bytes, which is the limit'),
    )
  })

  it('is invalidated when it is evicted from a store without tiers', async () => {
    await begin()
    await writer.ask('SET', 'cold', 'x'.repeat(1000))
    await reader.ask('STRLEN', 'cold')
    const value = 'y'.repeat(10_000)
    // 8 MB of memory.
    for (let number = 0; number < 2000; number++) await place.cache.set(`filler ${number}`, value)
    expect(await place.cache.has('cold')).toBe(false)
    expect(await reader.read()).toEqual(gone('cold'))
  })

  it('is not when it only leaves RAM', async () => {
    place = await openTiered({ __internal: { ...internal, clock: 'manual' } } as object)
    reader = await track('ON')
    writer = await Wire.open(socketOf(place.dir))
    await writer.ask('SET', 'cold', 'x', 'PX', '500')
    await place.chill()
    // Read from below: put down all the same.
    expect(await reader.ask('GET', 'cold')).toBe('x')
    await place.chill()
    expect(await pushes(reader)).toEqual([])
    await place.advance(501)
    await writer.ask('PING')
    expect(await reader.read()).toEqual(gone('cold'))
    await reader.ask('GET', 'cold')
    await writer.ask('SET', 'cold', 'y')
    expect(await reader.read()).toEqual(gone('cold'))
  })
})
