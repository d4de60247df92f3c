import { expect, it } from 'vitest'
import type { Cache, ScanOptions } from '../../src/index.ts'
import { failure } from '../support/errors.ts'
import type { Subject } from './cache.suite.ts'

async function keysOf(cache: Cache, options?: ScanOptions): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of cache.scan(options)) keys.push(key)
  return keys.sort()
}

const names = [
  'user:1',
  'user:2',
  'user:10',
  'user:é',
  'post:1',
  'post:[1]',
  'a*b',
  'a\\b',
  'User:1',
  '漢:1',
  '👋:1',
]

export function scanContract(subject: Subject): void {
  it('sees every entry once', async () => {
    const { cache } = subject
    expect(await keysOf(cache)).toEqual([])
    const keys = Array.from({ length: 5000 }, (_, n) => `key ${n}`).sort()
    await cache.setMany(keys.map((key) => [key, key]))
    expect(await keysOf(cache)).toEqual(keys)
  })

  it('describes entries like getEntry, without their value', async () => {
    const { cache } = await subject.open({})
    await cache.set('k', 'value', { ttl: 1000, tags: ['a', 'b'] })
    const { value, ...info } = (await cache.getEntry('k')) ?? { value: undefined }
    for await (const entry of cache.scan()) expect(entry).toEqual(info)
    expect(value).toBe('value')
  })

  it('sees what lives through it, whatever else changes', async () => {
    const { cache } = subject
    await cache.setMany(Array.from({ length: 2000 }, (_, n) => [`stay ${n}`, n]))
    await cache.setMany(Array.from({ length: 2000 }, (_, n) => [`leave ${n}`, n]))
    const seen: string[] = []
    let turn = 0
    for await (const { key } of cache.scan()) {
      seen.push(key)
      await cache.delete(`leave ${turn}`)
      await cache.set(`new ${turn++}`, 1)
    }
    const stayed = seen.filter((key) => key.startsWith('stay'))
    expect(stayed).toHaveLength(2000)
    expect(new Set(seen).size).toBe(seen.length)
  })

  it.each<[ScanOptions, string[]]>([
    [{ prefix: 'user:' }, ['user:1', 'user:10', 'user:2', 'user:é']],
    [{ prefix: '' }, [...names].sort()],
    [{ prefix: 'none' }, []],
    [{ prefix: '漢' }, ['漢:1']],
    [{ match: '*' }, [...names].sort()],
    [{ match: 'user:*' }, ['user:1', 'user:10', 'user:2', 'user:é']],
    [{ match: 'user:?' }, ['user:1', 'user:2', 'user:é']],
    [{ match: '?:1' }, ['漢:1', '👋:1']],
    [{ match: '*:1' }, ['User:1', 'post:1', 'user:1', '漢:1', '👋:1']],
    [{ match: '[Uu]ser:1' }, ['User:1', 'user:1']],
    [{ match: '[a-z]ser:[^2]' }, ['user:1', 'user:é']],
    [{ match: '*:[0-9][0-9]' }, ['user:10']],
    [{ match: 'post:\\[1\\]' }, ['post:[1]']],
    [{ match: 'a\\*b' }, ['a*b']],
    [{ match: 'a\\\\b' }, ['a\\b']],
    [{ match: 'a?b' }, ['a*b', 'a\\b']],
    [{ match: 'user:1' }, ['user:1']],
    [{ match: '' }, []],
    [{ match: '*er*1*' }, ['User:1', 'user:1', 'user:10']],
    [{ match: '**user**10**' }, ['user:10']],
    [{ prefix: 'user', match: '*1*' }, ['user:1', 'user:10']],
    [{ prefix: 'us', match: 'user:2' }, ['user:2']],
    [{ prefix: 'post', match: 'user:*' }, []],
    [{ prefix: 'user:1', match: 'user:*' }, ['user:1', 'user:10']],
    [{ tier: 'ram', prefix: 'a' }, ['a*b', 'a\\b']],
  ])('%j', async (options, expected) => {
    const { cache } = subject
    await cache.setMany(names.map((name) => [name, 1]))
    expect(await keysOf(cache, options)).toEqual([...expected].sort())
  })

  it('does not take long over a hostile pattern', async () => {
    const { cache } = subject
    await cache.set('a'.repeat(4000), 1)
    expect(await keysOf(cache, { match: `${'a*'.repeat(500)}b` })).toEqual([])
  })

  it('ends at its limit', async () => {
    const { cache } = subject
    await cache.setMany(Array.from({ length: 1000 }, (_, n) => [`k${n}`, n]))
    expect(await keysOf(cache, { limit: 1 })).toHaveLength(1)
    expect(await keysOf(cache, { limit: 250, prefix: 'k1' })).toHaveLength(111)
    expect(new Set(await keysOf(cache, { limit: 250 })).size).toBe(250)
  })

  it('can be left early and stopped by a signal', async () => {
    const { cache } = subject
    await cache.setMany(Array.from({ length: 5000 }, (_, n) => [`k${n}`, n]))
    for await (const _ of cache.scan()) break
    const controller = new AbortController()
    const reason = new Error('enough')
    let count = 0
    const scanning = (async () => {
      for await (const _ of cache.scan({ signal: controller.signal }))
        if (++count === 10) controller.abort(reason)
    })()
    await expect(scanning).rejects.toBe(reason)
    expect(count).toBeLessThan(5000)
  })

  it('stops with an error when the cache is closed', async () => {
    const { cache } = subject
    await cache.setMany(Array.from({ length: 5000 }, (_, n) => [`k${n}`, n]))
    await failure('ERR_RAMCACHE_CLOSED', async () => {
      for await (const _ of cache.scan()) await cache.close()
    })
  })

  it('does not see values of other namespaces', async () => {
    const { cache } = subject
    await cache.set('k', 1)
    await cache.namespace('other').set('o', 1)
    expect(await keysOf(cache)).toEqual(['k'])
  })
}
