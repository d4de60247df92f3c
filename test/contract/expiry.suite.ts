import { expect, it } from 'vitest'
import type { Subject } from './cache.suite.ts'

export function expiryContract(subject: Subject): void {
  it('ends an entry when its time is over, everywhere at once', async () => {
    const { cache } = subject
    await cache.set('k', 1, { ttl: 1000 })
    await subject.advance(999)
    expect(await cache.get('k')).toBe(1)
    await subject.advance(1)
    expect(await cache.get('k')).toBe(undefined)
    expect(cache.getSync('k')).toBe(undefined)
    expect(await cache.getEntry('k')).toBe(undefined)
    expect(await cache.has('k')).toBe(false)
    expect((await cache.getMany(['k'])).size).toBe(0)
    expect(await cache.touch('k', 1000)).toBe(false)
    expect(await cache.pull('k')).toBe(undefined)
    expect(await cache.delete('k')).toBe(false)
    for await (const entry of cache.scan()) expect(entry.key).not.toBe('k')
    expect(await cache.set('k', 2, { ifPresent: true })).toBe(undefined)
    expect(await cache.add('k', 2)).toBe(true)
  })

  it.each<[number | string, number]>([
    [1, 1],
    ['500ms', 500],
    ['10s', 10_000],
    ['2m', 120_000],
    ['1h', 3_600_000],
    ['1d', 86_400_000],
    ['3650d', 315_360_000_000],
  ])('takes a time of %s', async (ttl, ms) => {
    const { cache } = subject
    await cache.set('k', 1, { ttl })
    const entry = await cache.getEntry('k')
    expect((entry?.expiresAt as number) - (entry?.createdAt as number)).toBe(ms)
    await subject.advance(ms - 1)
    expect(await cache.has('k')).toBe(true)
    await subject.advance(1)
    expect(await cache.has('k')).toBe(false)
  })

  it('keeps what was given no time', async () => {
    const { cache } = subject
    await cache.set('k', 1)
    await subject.advance(100 * 365 * 86_400_000)
    expect(await cache.get('k')).toBe(1)
  })

  it('forgets the time of a value that is replaced', async () => {
    const { cache } = subject
    await cache.set('k', 1, { ttl: 1000 })
    await cache.set('k', 2)
    await subject.advance(5000)
    expect(await cache.get('k')).toBe(2)
    await cache.set('k', 3, { ttl: 1000 })
    await cache.set('k', 4, { ttl: 9000 })
    await subject.advance(5000)
    expect(await cache.get('k')).toBe(4)
  })

  it('never brings an older value back', async () => {
    const { cache } = subject
    await cache.set('k', 'old')
    await cache.set('k', 'new', { ttl: 10 })
    await subject.advance(10)
    expect(await cache.get('k')).toBe(undefined)
  })

  it('touches', async () => {
    const { cache } = subject
    await cache.set('k', { a: 1 }, { ttl: 1000, tags: ['t'] })
    await subject.advance(900)
    expect(await cache.touch('k', '1s')).toBe(true)
    await subject.advance(900)
    expect(await cache.getEntry('k')).toMatchObject({ value: { a: 1 }, tags: ['t'] })
    expect(await cache.touch('k')).toBe(true)
    await subject.advance(10_000)
    expect(await cache.getEntry('k')).toMatchObject({ value: { a: 1 }, expiresAt: undefined })
    expect(await cache.touch('none', 1000)).toBe(false)
  })

  it('ends an entry that nobody reads for its idle time', async () => {
    const { cache } = subject
    await cache.set('k', 1, { idle: 1000 })
    for (let round = 0; round < 10; round++) {
      await subject.advance(700)
      expect(await cache.get('k')).toBe(1)
    }
    await subject.advance(1000)
    expect(await cache.get('k')).toBe(undefined)
  })

  it('counts the expired', async () => {
    const { cache, advance } = await subject.open({})
    await cache.set('k', 1, { ttl: 10 })
    await advance(10)
    await cache.get('k')
    const stats = await cache.stats()
    expect(stats.misses).toBe(1)
    expect(stats.hits).toBe(0)
  })

  it('uses the time of the namespace when none is given', async () => {
    const { cache, advance } = await subject.open({
      namespaces: { default: { ttl: '1s' }, other: { ttl: 500 } },
    })
    const other = cache.namespace('other')
    const overridden = cache.namespace('other', { ttl: '3s' })
    for (const space of [cache, other]) {
      await space.set('set', 1)
      await space.add('add', 1)
      await space.setMany([['many', 1]])
      await space.incr('incr', 1, { init: 0 })
      await space.cas('cas', undefined, 1)
      await space.set('own', 1, { ttl: '2s' })
    }
    await overridden.set('overridden', 1)
    const left = async (space: typeof cache) => {
      const keys: string[] = []
      for await (const { key } of space.scan()) keys.push(key)
      return keys.sort()
    }
    await advance(499)
    expect(await left(other)).toHaveLength(7)
    await advance(1)
    expect(await left(other)).toEqual(['overridden', 'own'])
    expect(await left(cache)).toHaveLength(6)
    await advance(400)
    await cache.touch('set')
    await advance(100)
    expect(await left(cache)).toEqual(['own', 'set'])
    await advance(2000)
    expect(await left(cache)).toEqual([])
    expect(await left(other)).toEqual([])
  })
}
