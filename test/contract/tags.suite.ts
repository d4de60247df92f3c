import { expect, it } from 'vitest'
import { failure } from '../support/errors.ts'
import type { Subject } from './cache.suite.ts'

export function tagContract(subject: Subject): void {
  it('removes every entry that has one of the tags, and no other', async () => {
    const { cache } = subject
    const other = cache.namespace('other')
    await cache.set('a', { n: 1 }, { tags: ['red', 'round'] })
    await cache.set('b', 'text', { tags: ['round'] })
    await cache.set('c', 3, { tags: ['blue'] })
    await cache.set('large', Buffer.alloc(100_000, 1), { tags: ['round'], ttl: '1h' })
    await cache.set('sliding', 'text', { tags: ['round'], idle: '1h' })
    await cache.set('plain', 'text')
    await other.set('a', 'other', { tags: ['round'] })
    await cache.invalidateTags([])
    await cache.invalidateTags(['none has it', 'rounder', 'roun'])
    expect((await cache.getEntry('a'))?.tags).toEqual(['red', 'round'])
    for (const key of ['a', 'b', 'large', 'sliding']) expect(await cache.get(key)).toBeDefined()
    await cache.invalidateTags(['round'])
    for (const key of ['a', 'b', 'large', 'sliding']) {
      expect(cache.getSync(key)).toBe(undefined)
      expect(await cache.get(key)).toBe(undefined)
      expect(await cache.has(key)).toBe(false)
      expect(await cache.getEntry(key)).toBe(undefined)
    }
    expect([...(await cache.getMany(['a', 'b', 'c', 'plain'])).keys()]).toEqual(['c', 'plain'])
    const scanned: string[] = []
    for await (const { key } of cache.scan()) scanned.push(key)
    expect(scanned.sort()).toEqual(['c', 'plain'])
    expect(await other.get('a')).toBe('other')
    await cache.invalidateTags(['red', 'blue'])
    expect(await cache.get('c')).toBe(undefined)
    expect(await cache.get('plain')).toBe('text')
  })

  it('leaves what is written afterwards, with the same tags too', async () => {
    const { cache } = subject
    for (let round = 0; round < 50; round++) {
      await cache.set('k', { round }, { tags: ['t'] })
      expect(await cache.get('k')).toEqual({ round })
      await cache.invalidateTags(['t'])
      expect(await cache.get('k')).toBe(undefined)
    }
    await cache.setMany(
      [
        ['x', 1],
        ['y', 2],
      ],
      { tags: ['t'] },
    )
    expect((await cache.getMany(['x', 'y'])).size).toBe(2)
    await cache.invalidateTags(['t'])
    expect((await cache.getMany(['x', 'y'])).size).toBe(0)
  })

  it('makes an entry absent for every condition', async () => {
    const { cache } = subject
    const keys = ['add', 'present', 'version', 'delete', 'touch', 'pull', 'incr', 'cas']
    for (const key of keys) await cache.set(key, 1, { tags: ['t'] })
    const version = (await cache.getEntry('version'))?.version as string
    await cache.invalidateTags(['t'])
    expect(await cache.set('present', 2, { ifPresent: true })).toBe(undefined)
    expect(await cache.set('version', 2, { ifVersion: version })).toBe(undefined)
    expect(await cache.delete('delete')).toBe(false)
    expect(await cache.touch('touch', '1h')).toBe(false)
    expect(await cache.pull('pull')).toBe(undefined)
    expect(await cache.incr('incr', 1, { init: 10 })).toBe(11)
    expect(await cache.cas('cas', 1, 2)).toBe(false)
    expect(await cache.cas('cas', undefined, 2)).toBe(true)
    expect(await cache.add('add', 2)).toBe(true)
    expect(await cache.get('add')).toBe(2)
    // What was written without the tag has lost it.
    await cache.invalidateTags(['t'])
    expect(await cache.get('add')).toBe(2)
  })

  it('keeps a tag through whatever leaves the value as it is', async () => {
    const { cache } = subject
    await cache.set('touched', 1, { tags: ['t'] })
    await cache.touch('touched', '1h')
    await cache.set('counted', 1, { tags: ['t'] })
    await cache.incr('counted')
    const stream = cache.createWriteStream('blob', { tags: ['t'] })
    stream.end(Buffer.alloc(100_000, 1))
    await new Promise((resolve, reject) => stream.on('finish', resolve).on('error', reject))
    expect(await cache.has('blob')).toBe(true)
    await cache.invalidateTags(['t'])
    for (const key of ['touched', 'counted', 'blob']) expect(await cache.has(key)).toBe(false)
  })

  it('is no entry of its own that anybody sees', async () => {
    const { cache } = await subject.open({})
    await cache.set('k', 'v')
    const before = await cache.stats()
    for (let number = 0; number < 20; number++) await cache.invalidateTags([`tag ${number}`])
    const after = await cache.stats()
    expect(Object.keys(after.namespaces)).toEqual(Object.keys(before.namespaces))
    expect(after.tiers.ram.entries).toBe(before.tiers.ram.entries)
    for await (const { key } of cache.scan()) expect(key).toBe('k')
  })

  it('refuses what is no list of tags, by name and limit', async () => {
    const { cache } = subject
    const message = async (tags: unknown, options?: object) =>
      (await failure('ERR_RAMCACHE_CONFIG', () => cache.invalidateTags(tags as string[], options))).message
    expect(await message('tag')).toContain('tags of invalidateTags() must be an array of strings')
    expect(await message(undefined)).toContain('array of strings')
    expect(await message([''])).toContain('a string of 1 to 255 bytes')
    expect(await message(['é'.repeat(128)])).toContain('a string of 1 to 255 bytes')
    expect(await message([7])).toContain('not 7')
    expect(await message(['t'], { colour: 1 })).toContain('colour')
    const many = Array.from({ length: 1025 }, (_, number) => `tag ${number}`)
    expect(await message(many)).toContain('at most 1024 tags at a time, not 1025')
    await cache.set('k', 'v', { tags: ['tag 1023'] })
    await cache.invalidateTags(many.slice(0, 1024))
    expect(await cache.get('k')).toBe(undefined)
    const reason = new Error('aborted')
    await expect(cache.invalidateTags(['t'], { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  })
}
