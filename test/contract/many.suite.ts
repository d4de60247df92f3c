import { expect, it } from 'vitest'
import { failure } from '../support/errors.ts'
import type { Subject } from './cache.suite.ts'

export function manyContract(subject: Subject): void {
  it('stores and reads many', async () => {
    const { cache } = subject
    const entries = Array.from({ length: 500 }, (_, n): [string, unknown] => [`k${n}`, { n, text: `t${n}` }])
    await cache.setMany(entries)
    const found = await cache.getMany(entries.map(([key]) => key))
    expect(found).toEqual(new Map(entries))
  })

  it('takes any iterable, and keys of bytes', async () => {
    const { cache } = subject
    const bytes = Buffer.from('b')
    await cache.setMany(new Map<string | Buffer, unknown>([['a', 1], [bytes, 2]])) // biome-ignore format: one line
    expect(await cache.getMany(new Set(['a', 'none']))).toEqual(new Map([['a', 1]]))
    const found = await cache.getMany<number, Buffer>([bytes])
    expect([...found]).toEqual([[bytes, 2]])
    await cache.setMany([])
    expect(await cache.getMany([])).toEqual(new Map())
  })

  it('keeps the order of the keys that were asked for', async () => {
    const { cache } = subject
    await cache.setMany([['a', 1], ['b', 2], ['c', 3]]) // biome-ignore format: one line
    expect([...(await cache.getMany(['c', 'x', 'a', 'c'])).keys()]).toEqual(['c', 'a'])
  })

  it('lets the last of equal keys count', async () => {
    const { cache } = subject
    await cache.setMany([['a', 1], ['a', 2]]) // biome-ignore format: one line
    expect(await cache.get('a')).toBe(2)
    expect((await cache.stats()).tiers.ram.entries).toBe(1)
  })

  it('gives all of them the same time and tags', async () => {
    const { cache } = subject
    await cache.setMany([['a', 1], ['b', { c: 2 }]], { ttl: '1s', tags: ['t'] }) // biome-ignore format: one line
    expect(await cache.getEntry('a')).toMatchObject({ tags: ['t'], expiresAt: expect.any(Number) })
    await subject.advance(1000)
    expect((await cache.getMany(['a', 'b'])).size).toBe(0)
  })

  it.each<[string, Iterable<unknown>, string]>([
    [
      'a value that cannot be stored',
      [
        ['a', 2],
        ['b', { f: () => 1 }],
      ],
      'ERR_RAMCACHE_VALUE',
    ],
    [
      'undefined',
      [
        ['a', 2],
        ['b', undefined],
      ],
      'ERR_RAMCACHE_VALUE',
    ],
    [
      'a bad key',
      [
        ['a', 2],
        ['', 1],
      ],
      'ERR_RAMCACHE_KEY',
    ],
    [
      'half a surrogate pair',
      [
        ['a', 2],
        ['\ud800', 1],
      ],
      'ERR_RAMCACHE_KEY',
    ],
    ['a key alone', [['a', 2], ['b']], 'ERR_RAMCACHE_CONFIG'],
    ['a string for an entry', ['ab'], 'ERR_RAMCACHE_CONFIG'],
    ['an iterable that throws', throwing(), 'boom'],
  ])('stores nothing with %s', async (_, entries, code) => {
    const { cache } = subject
    await cache.set('a', 1)
    const run = () => cache.setMany(entries as Iterable<[string, unknown]>)
    if (code === 'boom') await expect(run()).rejects.toThrow('boom')
    else await failure(code as 'ERR_RAMCACHE_KEY', run)
    expect(await cache.get('a')).toBe(1)
    expect(await cache.has('b')).toBe(false)
    expect((await cache.stats()).tiers.ram.entries).toBe(1)
  })

  it('deletes many and counts those that were there', async () => {
    const { cache } = subject
    await cache.setMany([['a', 1], ['b', 2], ['c', 3]]) // biome-ignore format: one line
    expect(await cache.deleteMany(['a', 'x', 'c', 'a'])).toBe(2)
    expect([...(await cache.getMany(['a', 'b', 'c'])).keys()]).toEqual(['b'])
    await failure('ERR_RAMCACHE_KEY', () => cache.deleteMany(['b', '']))
    expect(await cache.has('b')).toBe(true)
  })

  it.each<[string, unknown]>([
    ['a string', 'abc'],
    ['bytes', Buffer.from('abc')],
    ['an object', { a: 1 }],
    ['nothing', undefined],
  ])('does not take %s for a list', async (_, list) => {
    const { cache } = subject
    await failure('ERR_RAMCACHE_CONFIG', () => cache.getMany(list as string[]))
    await failure('ERR_RAMCACHE_CONFIG', () => cache.deleteMany(list as string[]))
    if (!(list instanceof Uint8Array)) await failure('ERR_RAMCACHE_CONFIG', () => cache.setMany(list as []))
  })
}

function* throwing(): Generator<[string, unknown]> {
  yield ['a', 2]
  throw new Error('boom')
}
