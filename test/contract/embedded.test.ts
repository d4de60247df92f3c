import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { attach, open } from '../../src/index.ts'
import { failure } from '../support/errors.ts'
import { openEmbedded } from '../support/stores.ts'
import { cacheContract } from './cache.suite.ts'

cacheContract('embedded', openEmbedded)

it('opening rejects bad options and creates nothing', async () => {
  const dir = join(tmpdir(), `ramcache-none-${process.pid}`)
  await failure('ERR_RAMCACHE_CONFIG', () => open({ dir, tiers: { ssd: false }, memory: '1kb' }))
  await failure('ERR_RAMCACHE_CONFIG', () => open({ dir, tiers: { ssd: false }, colour: 1 } as never))
  await failure('ERR_RAMCACHE_CONFIG', () => open(undefined as never))
  await failure('ERR_RAMCACHE_CONFIG', () => attach({} as never))
  expect((await failure('ERR_RAMCACHE_UNAVAILABLE', () => attach({ dir }))).message).toContain(dir)
})

it('an attached cache reads what the owner writes, and nothing else', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'ramcache-'))
  await using owner = await open({ dir, tiers: { ssd: false }, memory: '8mb' })
  await using reader = await attach({ dir })
  expect(await reader.get('k')).toBe(undefined)
  const value = { name: 'n', list: [{ a: 1 }, { a: 2 }], when: new Date(5) }
  for (let round = 0; round < 3; round++) {
    await owner.set('k', value)
    await owner.namespace('other').set('k', { round })
    expect(reader.getSync('k')).toEqual(value)
    expect(await reader.namespace('other').get('k')).toEqual({ round })
  }
  expect(await reader.getEntry('k')).toEqual(await owner.getEntry('k'))
  expect(await reader.getMany(['k', 'none'])).toEqual(new Map([['k', value]]))
  const keys: string[] = []
  for await (const { key } of reader.scan({ match: '?' })) keys.push(key)
  expect(keys).toEqual(['k'])
  expect((await reader.stats()).owner.pid).toBe(process.pid)
  expect('set' in reader).toBe(false)
  await failure('ERR_RAMCACHE_KEY', () => reader.get(''))
  await owner.delete('k')
  expect(await reader.has('k')).toBe(false)
  await reader.close()
  await failure('ERR_RAMCACHE_CLOSED', () => reader.get('k'))
  rmSync(dir, { recursive: true, force: true })
})

it('two openings in one process share the store, and agree on structures', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'ramcache-'))
  const caches = [
    await open({ dir, tiers: { ssd: false }, memory: '8mb' }),
    await open({ dir, memory: '8mb' }),
  ]
  const reader = await attach({ dir })
  const value = (n: number) => ({ id: n, [`field${n}`]: { [`deep${n}`]: [n] } })
  for (let round = 0; round < 3; round++) {
    // Each makes structures the other does not know yet.
    for (let n = 0; n < 200; n++) await caches[(n + round) % 2]?.set(`k${n}`, value(n))
    for (const cache of [...caches, reader]) {
      for (let n = 0; n < 200; n++) expect(cache.getSync(`k${n}`)).toEqual(value(n))
    }
  }
  await caches[0]?.close()
  expect(await caches[1]?.get('k1')).toEqual(value(1))
  await failure('ERR_RAMCACHE_CONFIG', () => open({ dir, tiers: { ssd: false }, memory: '16mb' }))
  await caches[1]?.close()
  await reader.close()
  rmSync(dir, { recursive: true, force: true })
})

it('counts of an attached cache name every namespace, whatever is in its name', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'ramcache-'))
  await using owner = await open({ dir, tiers: { ssd: false }, memory: '8mb' })
  const name = `it's"a\\name`
  await owner.namespace(name).set('k', 'value')
  // The owner's numbers are published when it asks for them itself.
  const own = (await owner.stats()).namespaces[name]
  await using reader = await attach({ dir })
  expect(own?.entries).toBe(1)
  expect((await reader.stats()).namespaces[name]).toMatchObject({ entries: 1, bytes: own?.bytes })
  rmSync(dir, { recursive: true, force: true })
})
