/** Our own commands, over a store with and without tiers below RAM. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { attach } from '../../src/index.ts'
import { openEmbedded, openTiered, type Placement } from '../support/stores.ts'
import { ErrorReply, socketOf, Wire } from './support.ts'

describe.each([
  ['in RAM alone', openEmbedded],
  ['with an SSD tier', openTiered],
])('own commands %s', (_, openStore) => {
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

  it('say where the arena is', async () => {
    const fields = (await wire.ask('RC.OPEN')) as string[]
    const open = Object.fromEntries(
      Array.from({ length: fields.length / 2 }, (_, i) => [fields[2 * i], fields[2 * i + 1]]),
    )
    expect(open).toMatchObject({
      pid: String(process.pid),
      dir: place.dir,
      budgetBytes: expect.stringMatching(/^\d+$/),
      hasTiers: hasTiers ? '1' : '0',
      mode: 'embedded',
    })
    await place.cache.set('seen', 'by others')
    const reader = await attach({ dir: place.dir })
    expect(reader.getSync('seen')).toBe('by others')
    await reader.close()
  })

  it('write values of any type that the cache gives back', async () => {
    const version = await wire.ask('RC.SET', 'default', 'text', 1, 'hello', 'TTL', 60000, 'TAGS', 2, 'a', 'b')
    expect(version).toMatch(/^[0-9a-f]{16}-[0-9a-f]{16}$/)
    expect(await place.cache.getEntry('text')).toMatchObject({
      value: 'hello',
      version,
      tags: ['a', 'b'],
      tier: 'ram',
    })
    const bytes = Buffer.from([0, 255, 10, 13])
    await wire.ask('RC.SET', 'default', 'bytes', 6, bytes)
    expect(await place.cache.get('bytes')).toEqual(bytes)
    const number = Buffer.alloc(8)
    number.writeDoubleLE(1.5)
    await wire.ask('RC.SET', 'default', 'number', 3, number)
    expect(await place.cache.get('number')).toBe(1.5)
    expect(await wire.ask('RC.SET', 'default', 'blob', 11, 'x')).toEqual(
      new ErrorReply('RC VALUE "11" is no type of a value that can be written'),
    )
  })

  it('write under conditions, and hide nothing of why not', async () => {
    const first = (await wire.ask('RC.SET', 'default', 'k', 1, 'one', 'NX')) as string
    expect(await wire.ask('RC.SET', 'default', 'k', 1, 'two', 'NX')).toBe(null)
    const second = (await wire.ask('RC.SET', 'default', 'k', 1, 'two', 'IFVERSION', first)) as string
    expect(second > first).toBe(true)
    expect(await wire.ask('RC.SET', 'default', 'k', 1, 'three', 'IFVERSION', first)).toBe(null)
    expect(await wire.ask('RC.DEL', 'default', 'k', 'IFVERSION', first)).toBe(0)
    expect(await wire.ask('RC.DEL', 'default', 'k', 'IFVERSION', second)).toBe(1)
    expect(await wire.ask('RC.SET', 'default', 'k', 1, 'four', 'XX')).toBe(null)
    expect(await wire.ask('RC.SET', 'default', '', 1, 'x')).toMatchObject({
      text: expect.stringMatching(/^RC KEY /),
    })
    expect(await wire.ask('RC.SET', 'no name', 'k', 1, 'x')).toMatchObject({
      text: expect.stringMatching(/^RC CONFIG .*"no name"/),
    })
    expect(await wire.ask('RC.SET', 'default', 'k', 1, 'x', 'NONSENSE')).toEqual(
      new ErrorReply('ERR syntax error'),
    )
  })

  it('read what the cache has written, with all there is to know', async () => {
    const { version } = (await place.cache.set('k', 'value', { ttl: 5000, tags: ['t'] })) as {
      version: string
    }
    const now = (await place.cache.getEntry('k')) as { createdAt: number; expiresAt: number; size: number }
    expect(await wire.ask('RC.ENTRY', 'default', 'k', 'LOOK')).toEqual([
      1,
      'value',
      version,
      now.createdAt,
      now.expiresAt,
      now.size,
      ['t'],
      'ram',
      0,
      0,
    ])
    expect(await wire.ask('RC.GET', 'default', 'k')).toEqual([1, 'value', 'ram'])
    expect(await wire.ask('RC.MGET', 'default', 'k', 'none')).toEqual([[1, 'value', 'ram'], null])
    expect(await wire.ask('RC.HAS', 'default', 'k')).toBe(1)
    expect(await wire.ask('RC.HAS', 'nowhere', 'k')).toBe(0)
    expect(await wire.ask('RC.GET', 'nowhere', 'k')).toBe(null)
    expect((await place.cache.stats()).namespaces).not.toHaveProperty('nowhere')
  })

  it('count, touch, clear and write groups', async () => {
    expect(await wire.ask('RC.INCR', 'default', 'n', 5, 'INIT', 10)).toBe('15')
    expect(await wire.ask('RC.INCR', 'default', 'n', -20)).toBe('-5')
    expect(await wire.ask('RC.INCR', 'default', 'm', 1)).toMatchObject({
      text: expect.stringMatching(/^RC NOT_INTEGER "m" is missing/),
    })
    expect(await wire.ask('RC.TOUCH', 'default', 'n', 5000)).toBe(1)
    place.advance(4999)
    expect(await wire.ask('RC.HAS', 'default', 'n')).toBe(1)
    place.advance(1)
    expect(await wire.ask('RC.HAS', 'default', 'n')).toBe(0)
    expect(await wire.ask('RC.TOUCH', 'default', 'n', -1)).toBe(0)
    expect(await wire.ask('RC.MSET', 'other', 2, 'a', 1, 'A', 'b', 1, 'B', 'TTL', 1000)).toBe('OK')
    expect(await place.cache.namespace('other').get('b')).toBe('B')
    expect(await wire.ask('RC.MDEL', 'other', 'a', 'b', 'c')).toBe(2)
    await wire.ask('RC.SET', 'other', 'a', 1, 'A')
    expect(await wire.ask('RC.CLEAR', 'other', 'SYNC')).toBe('OK')
    expect(await wire.ask('RC.HAS', 'other', 'a')).toBe(0)
    expect(await wire.ask('RC.FLUSH')).toBe('OK')
  })

  it('invalidate tags', async () => {
    await wire.ask('RC.SET', 'other', 'a', 1, 'A', 'TAGS', 2, 'red', 'round')
    await wire.ask('RC.SET', 'other', 'b', 1, 'B', 'TAGS', 1, 'blue')
    await wire.ask('RC.SET', 'default', 'a', 1, 'A', 'TAGS', 1, 'red')
    expect(await wire.ask('RC.INVALIDATE', 'other', 'green', 'red')).toBe('OK')
    expect(await wire.ask('RC.GET', 'other', 'a')).toBe(null)
    expect(await wire.ask('RC.ENTRY', 'other', 'a')).toBe(null)
    expect(await wire.ask('RC.HAS', 'other', 'b')).toBe(1)
    expect(await wire.ask('EXISTS', 'a')).toBe(1)
    expect(await wire.ask('RC.INVALIDATE', 'nowhere', 'red')).toBe('OK')
    expect((await place.cache.stats()).namespaces).not.toHaveProperty('nowhere')
    // A transaction that has looked at it does not take place.
    await wire.ask('WATCH', 'a')
    await place.cache.invalidateTags(['red'])
    await wire.ask('MULTI')
    await wire.ask('SET', 'a', 'from what was there')
    expect(await wire.ask('EXEC')).toBe(null)
    expect(await wire.ask('SET', 'a', 'new', 'NX')).toBe('OK')
    const refused = async (...words: string[]) => ((await wire.ask(...words)) as ErrorReply).text
    expect(await refused('RC.INVALIDATE', 'other')).toContain('wrong number of arguments')
    expect(await refused('RC.INVALIDATE', 'other', '')).toContain('has 0 bytes, allowed are 1 to 255')
    expect(await refused('RC.INVALIDATE', 'other', 'x'.repeat(256))).toContain('has 256 bytes')
    const many = Array.from({ length: 1025 }, (_, number) => `${number}`)
    expect(await refused('RC.INVALIDATE', 'other', ...many)).toContain('1025 tags')
    // The epochs are nobody's to read or write.
    expect(await refused('RC.INVALIDATE', ' tags', 'red')).toContain('RC CONFIG')
    expect(await refused('RC.GET', ' tags', 'red')).toContain('RC CONFIG')
    expect(await refused('RC.SET', ' tags', 'red', '1', 'x')).toContain('RC CONFIG')
    expect(await refused('RC.NS', ' tags')).toContain('RC CONFIG')
  })

  it('keep what they write as their durability says', async () => {
    if (!hasTiers) {
      expect(await wire.ask('RC.SET', 'default', 'k', 1, 'x', 'DURABILITY', 'sync')).toMatchObject({
        text: expect.stringMatching(/^RC CONFIG .*needs a disk/),
      })
      return
    }
    for (let number = 0; number < 50; number++) {
      wire.send('RC.SET', 'default', `k${number}`, 1, 'x', 'DURABILITY', number % 2 ? 'sync' : 'none')
    }
    for (let number = 0; number < 50; number++) expect(await wire.read()).toMatch(/-/)
    expect((await place.cache.stats()).durability.poisoned).toBe(false)
    await place.cache.close()
    place = await place.reopen()
    expect(await place.cache.get('k1')).toBe('x')
    expect(await place.cache.get('k2')).toBe(undefined)
  })

  it('choose the namespace of Redis commands', async () => {
    expect(await wire.ask('RC.NS', 'a/b')).toBe('OK')
    await wire.ask('SET', 'k', 'v')
    expect(await place.cache.namespace('a').namespace('b').get('k')).toBe('v')
    expect(await wire.ask('SELECT', 3)).toBe('OK')
    await wire.ask('SET', 'k', 'w')
    expect(await place.cache.namespace('db3').get('k')).toBe('w')
    expect(await wire.ask('SELECT', 16)).toEqual(new ErrorReply('ERR DB index is out of range'))
    expect(await wire.ask('SELECT', 0)).toBe('OK')
    expect(await wire.ask('GET', 'k')).toBe(null)
  })

  it('count hits and misses as reads of the cache do', async () => {
    const before = await place.cache.stats()
    await wire.ask('SET', 'k', 'v')
    await wire.ask('GET', 'k')
    await wire.ask('RC.GET', 'default', 'k')
    await wire.ask('MGET', 'k', 'none')
    await wire.ask('GET', 'none')
    const { hits, misses, sets } = await place.cache.stats()
    expect({ hits: hits - before.hits, misses: misses - before.misses, sets: sets - before.sets }).toEqual({
      hits: 3,
      misses: 2,
      sets: 1,
    })
  })
})
