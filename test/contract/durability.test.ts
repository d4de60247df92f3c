/** What writes survive: the log is copied at the moment of an acknowledgement, and a store is opened over the copy. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { expect, it, onTestFinished } from 'vitest'
import { type Cache, type OpenOptions, open } from '../../src/index.ts'
import { failure } from '../support/errors.ts'

function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'ramcache-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

async function openIn(dir: string, options: Partial<OpenOptions> = {}): Promise<Cache> {
  const cache = await open({ dir, memory: '8mb', ...options })
  onTestFinished(() => cache.close())
  return cache
}

/** A store that begins with what is on the disk of another one at this moment. */
async function afterwards(dir: string): Promise<Cache> {
  const copy = folder()
  cpSync(join(dir, 'ssd'), join(copy, 'ssd'), { recursive: true })
  return openIn(copy)
}

it('sync: whatever the kind of write, it is on disk when it is acknowledged', async () => {
  const dir = folder()
  const cache = await openIn(dir, { namespaces: { default: { durability: 'sync' } } })
  const steps: [() => Promise<unknown>, (after: Cache) => Promise<unknown>][] = [
    [() => cache.set('set', 1), async (after) => expect(await after.get('set')).toBe(1)],
    [() => cache.setMany([['many', 2]]), async (after) => expect(await after.get('many')).toBe(2)],
    [() => cache.add('add', 3), async (after) => expect(await after.get('add')).toBe(3)],
    [() => cache.cas('set', 1, 'cas'), async (after) => expect(await after.get('set')).toBe('cas')],
    [() => cache.incr('many'), async (after) => expect(await after.get('many')).toBe(3)],
    [
      () => cache.touch('add', '1h'),
      async (after) => expect((await after.getEntry('add'))?.expiresAt).toBeDefined(),
    ],
    [() => cache.delete('add'), async (after) => expect(await after.get('add')).toBe(undefined)],
    [() => cache.pull('many'), async (after) => expect(await after.get('many')).toBe(undefined)],
    [
      () => pipeline([Buffer.alloc(600_000, 7)], cache.createWriteStream('blob')),
      (after) => failure('ERR_RAMCACHE_VALUE', () => after.get('blob')),
    ],
    [() => cache.clear(), async (after) => expect(await after.get('set')).toBe(undefined)],
  ]
  for (const [write, check] of steps) {
    await write()
    await check(await afterwards(dir))
  }
})

it('sync of one write, in a namespace that is not', async () => {
  const dir = folder()
  const cache = await openIn(dir)
  const inner = cache.namespace('inner', { durability: 'sync' })
  await Promise.all(Array.from({ length: 500 }, (_, n) => cache.set(`k${n}`, n, { durability: 'sync' })))
  await inner.set('k', 'inner')
  const after = await afterwards(dir)
  for (let n = 0; n < 500; n++) expect(await after.get(`k${n}`)).toBe(n)
  expect(await after.namespace('inner').get('k')).toBe('inner')
})

it('without a disk there is only none, and the message says why', async () => {
  const cache = await openIn(folder(), { tiers: { ssd: false } })
  for (const durability of ['async', 'sync'] as const) {
    for (const write of [
      () => cache.set('k', 1, { durability }),
      () => cache.incr('k', 1, { init: 0, durability }),
      async () => cache.namespace('a', { durability }),
      () => open({ dir: folder(), tiers: { ssd: false }, namespaces: { a: { durability } } }),
    ]) {
      expect((await failure('ERR_RAMCACHE_CONFIG', write)).message).toContain('needs a disk')
    }
  }
  await cache.set('k', 1, { durability: 'none' })
  expect(await cache.get('k')).toBe(1)
})

it('none: gone with the RAM, and so is what it replaced', async () => {
  const dir = folder()
  const cache = await openIn(dir)
  const volatile = cache.namespace('sessions', { durability: 'none' })
  await cache.set('set', 'old', { durability: 'sync' })
  await cache.setMany(
    [
      ['a', 1],
      ['b', 1],
    ],
    { durability: 'sync' },
  )
  await cache.set('set', 'new', { durability: 'none' })
  await cache.setMany(
    [
      ['a', 2],
      ['c', 2],
    ],
    { durability: 'none' },
  )
  await cache.incr('b', 1, { durability: 'none' })
  await volatile.set('s', 'session')
  const after = await afterwards(dir)
  for (const key of ['set', 'a', 'b', 'c']) expect(await after.get(key)).toBe(undefined)
  expect(await after.namespace('sessions').get('s')).toBe(undefined)
  expect([await cache.get('set'), await cache.get('a'), await cache.get('b')]).toEqual(['new', 2, 2])
  expect(await volatile.get('s')).toBe('session')
})

it('none: more than RAM holds is still all there until the store is closed', async () => {
  const dir = folder()
  let cache = await openIn(dir, { memory: '1mb', namespaces: { default: { durability: 'none' } } })
  const count = 3000
  for (let n = 0; n < count; n++) await cache.set(`k${n}`, `${n}`.padEnd(1000))
  for (let n = 0; n < count; n++) expect(await cache.get(`k${n}`)).toBe(`${n}`.padEnd(1000))
  await cache.close()
  cache = await openIn(dir, { memory: '1mb' })
  for (let n = 0; n < count; n++) expect(await cache.get(`k${n}`)).toBe(undefined)
})

it('a group larger than what the log may be behind is whole afterwards', async () => {
  const dir = folder()
  // As little memory as it goes: the feed has room for 85 changes.
  const cache = await openIn(dir, { memory: '1mb' })
  for (const count of [100, 2000, 85, 3000]) {
    const group = Array.from({ length: count }, (_, n): [string, number] => [`k${n}`, count])
    await cache.setMany(group)
    await cache.flush()
    const after = await afterwards(dir)
    expect(await after.getMany(group.map(([key]) => key))).toEqual(new Map(group))
    await after.close()
  }
})
