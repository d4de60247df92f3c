import { expect, it } from 'vitest'
import { failure } from '../support/errors.ts'
import type { Subject } from './cache.suite.ts'

export function namespaceContract(subject: Subject): void {
  it('keeps the keys of one apart from those of every other', async () => {
    const { cache } = subject
    const spaces = [
      cache,
      cache.namespace('a'),
      cache.namespace('b'),
      cache.namespace('a').namespace('b'),
      cache.namespace('b').namespace('a'),
      cache.namespace('a:b'),
      cache.namespace('__proto__'),
    ]
    for (const [index, space] of spaces.entries()) await space.set('k', index)
    for (const [index, space] of spaces.entries()) {
      expect(await space.get('k')).toBe(index)
      expect((await space.getMany(['k'])).get('k')).toBe(index)
      for await (const entry of space.scan()) expect(entry.version).toBe((await space.getEntry('k'))?.version)
    }
    await spaces[1]?.delete('k')
    expect(await Promise.all(spaces.map((space) => space.has('k')))).toEqual(
      spaces.map((_, index) => index !== 1),
    )
  })

  it('is the same under the same name', async () => {
    const { cache } = subject
    await cache.namespace('a').set('k', 1)
    expect(await cache.namespace('a').get('k')).toBe(1)
    await cache.namespace('default').set('k', 2)
    expect(await cache.get('k')).toBe(2)
  })

  it('is cleared alone, and at once', async () => {
    const { cache } = await subject.open({})
    const other = cache.namespace('other')
    const inside = other.namespace('inside')
    await other.setMany(Array.from({ length: 5000 }, (_, n) => [`k${n}`, { n }]))
    await cache.set('k1', 'default')
    await inside.set('k1', 'inside')
    const begun = (await other.set('before', 1))?.version as string
    await other.clear()
    expect(await other.get('k1')).toBe(undefined)
    expect((await other.getMany(['k1', 'k2'])).size).toBe(0)
    for await (const entry of other.scan()) throw new Error(`${entry.key} is still there`)
    expect((await other.set('k1', 'new'))?.version.localeCompare(begun)).toBe(1)
    expect(await other.get('k1')).toBe('new')
    expect(await cache.get('k1')).toBe('default')
    expect(await inside.get('k1')).toBe('inside')
    expect((await cache.stats()).namespaces.other?.entries).toBe(1)
  })

  it('keeps clearing and writing apart in order', async () => {
    const { cache } = subject
    for (let round = 0; round < 20; round++) {
      await cache.set('k', { round })
      await cache.clear()
      expect(await cache.has('k')).toBe(false)
      expect(await cache.incr('n', 1, { init: 0 })).toBe(1)
    }
  })

  it('has values of its own shapes', async () => {
    const { cache } = subject
    const spaces = [cache.namespace('a'), cache.namespace('b')]
    for (let round = 0; round < 3; round++) {
      for (const [index, space] of spaces.entries()) {
        for (let n = 0; n < 40; n++)
          await space.set(`k${n}`, { [`name${(n + index * 7) % 40}`]: n, of: index })
      }
    }
    for (const [index, space] of spaces.entries()) {
      for (let n = 0; n < 40; n++) {
        expect(await space.get(`k${n}`)).toEqual({ [`name${(n + index * 7) % 40}`]: n, of: index })
      }
    }
  })

  it('is counted by its full name', async () => {
    const { cache } = await subject.open({})
    const inside = cache.namespace('a').namespace('b')
    await inside.set('k', 'value')
    await inside.get('k')
    await inside.get('none')
    const { namespaces } = await inside.stats()
    expect(namespaces['a/b']).toMatchObject({ entries: 1, bytes: 6, hits: 1, misses: 1, hitRate: 0.5 })
  })

  it('has a quota that its statistics show, and that is no limit', async () => {
    const { cache } = await subject.open({ memory: '4mb', namespaces: { tenant: { quota: '64kb' } } })
    const tenant = cache.namespace('tenant')
    for (let number = 0; number < 500; number++) await tenant.set(`k${number}`, 'x'.repeat(300))
    for (let number = 0; number < 500; number++) expect(await tenant.get(`k${number}`)).toBeDefined()
    const { namespaces } = await cache.stats()
    expect(namespaces.tenant?.quotaBytes).toBe(64 * 1024)
    expect(namespaces.tenant?.ramBytes).toBeGreaterThan(500 * 300)
    await cache.set('k', 'v')
    expect((await cache.stats()).namespaces.default).not.toHaveProperty('quotaBytes')
  })

  it('is closed without closing the store', async () => {
    const { cache } = subject
    const other = cache.namespace('other')
    await other.set('k', 1)
    await other.close()
    await failure('ERR_RAMCACHE_CLOSED', () => other.get('k'))
    await failure('ERR_RAMCACHE_CLOSED', () => other.namespace('inside'))
    expect(await cache.namespace('other').get('k')).toBe(1)
  })

  it.each<[unknown, string]>([
    ['', 'not ""'],
    ['a b', 'not "a b"'],
    ['é', 'not "é"'],
    ['a/b', 'must not contain "/"'],
    ['x'.repeat(65), '65 characters'],
    [undefined, 'not undefined'],
    [5, 'not 5'],
  ])('refuses the name %j', async (name, message) => {
    const error = await failure('ERR_RAMCACHE_CONFIG', () => subject.cache.namespace(name as string))
    expect(error.message).toContain(message)
  })

  it('refuses a nested name that is too long as a whole', async () => {
    const { cache } = subject
    const long = cache.namespace('x'.repeat(40))
    expect(() => long.namespace('y'.repeat(23))).not.toThrow()
    await failure('ERR_RAMCACHE_CONFIG', () => long.namespace('y'.repeat(24)))
  })
}
