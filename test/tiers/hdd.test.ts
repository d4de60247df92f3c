/** The HDD tier of a store: what goes down and up, what is given back, and with whom it belongs. */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as after } from 'node:timers/promises'
import { ClassicLevel } from 'classic-level'
import { afterEach, expect, it } from 'vitest'
import { engineOf } from '../../src/cache/internal.ts'
import { type Cache, open } from '../../src/index.ts'
import type { Space } from '../../src/native/engine.ts'
import { testFolder } from '../support/folders.ts'
import { openThreeTiers, type Placement } from '../support/stores.ts'

let placement: Placement | undefined

afterEach(async () => {
  await placement?.end()
  placement = undefined
})

const mebibyte = 1024 * 1024

const smallTiers = (dir: string) => ({
  dir,
  memory: '4mb' as const,
  tiers: { hdd: { path: join(dir, 'hdd') } },
  ...{ __internal: { fileBytes: mebibyte, ssdBudgetBytes: 12 * mebibyte } },
})

async function tiersOf(cache: Cache) {
  return (await cache.stats()).tiers
}

it('ten times the budget lies in three tiers, all of it readable, each entry scanned once', async () => {
  const dir = testFolder()
  const count = 40_000
  const value = (n: number) => `${n}/`.padEnd(1000, 'v')
  let cache = await open(smallTiers(dir))
  for (let n = 0; n < count; n++) await cache.set(`key ${n}`, value(n))
  await cache.flush()
  // Until the SSD tier is within its budget: a third of the entries, or less. It counts what its index holds, and so
  // lags behind: what has arrived further down says more.
  while ((await tiersOf(cache)).hdd.entries < count * 0.6) await after(20)
  const check = async () => {
    const wrong: number[] = []
    for (let n = 0; n < count; n += 3) if ((await cache.get(`key ${n}`)) !== value(n)) wrong.push(n)
    expect(wrong).toEqual([])
    const met = { ram: 0, ssd: 0, hdd: 0 }
    const keys = new Set<string>()
    for await (const { key, tier } of cache.scan()) {
      met[tier]++
      keys.add(key)
    }
    expect(met.ram + met.ssd + met.hdd).toBe(count)
    expect(keys.size).toBe(count)
    return met
  }
  const met = await check()
  const { ram, ssd, hdd } = await tiersOf(cache)
  for (const tier of [ram, ssd, hdd]) expect(tier.entries).toBeGreaterThan(count / 100)
  expect(met.hdd).toBeGreaterThan(count / 2)
  expect(hdd.hits).toBeGreaterThan(count / 3 / 2)
  await cache.close()
  cache = await open(smallTiers(dir))
  await check()
  await cache.close()
}, 0)

it('what is read again comes up to RAM, and from there to the SSD tier', async () => {
  placement = await openThreeTiers()
  const { cache } = placement
  await cache.set('k', { a: 1 })
  await placement.freeze()
  const written = await cache.getEntry('k')
  expect(written?.tier).toBe('hdd')
  await cache.get('k')
  expect(cache.getSync('k')).toEqual({ a: 1 })
  await placement.chill()
  const { version } = written as { version: string }
  expect(await cache.getEntry('k')).toMatchObject({ value: { a: 1 }, version, tier: 'ssd' })
  expect((await tiersOf(cache)).hdd.promotedOut).toBe(1)
})

it('nothing that was deleted, replaced or let expire comes back from it', async () => {
  placement = await openThreeTiers()
  let { cache } = placement
  for (const key of ['deleted', 'replaced', 'expired', 'shortened', 'stays']) await cache.set(key, 'old')
  await placement.freeze()
  await cache.delete('deleted')
  await cache.set('replaced', 'new')
  await cache.set('expired', 'new', { ttl: '1s' })
  await cache.touch('shortened', '1s')
  placement.advance(2000)
  const check = async () => {
    const keys = ['deleted', 'replaced', 'expired', 'shortened', 'stays']
    expect(await cache.getMany(keys)).toEqual(new Map([['replaced', 'new'], ['stays', 'old']])) // biome-ignore format: one line
  }
  await check()
  await placement.chill()
  await check()
  await placement.freeze()
  await check()
  placement = await placement.reopen()
  cache = placement.cache
  await check()
})

it('a clear gives its space back', async () => {
  placement = await openThreeTiers()
  const { cache } = placement
  for (let n = 0; n < 50; n++) await cache.set(`key ${n}`, n)
  await placement.freeze()
  expect((await tiersOf(cache)).hdd.entries).toBeGreaterThanOrEqual(50)
  await cache.clear()
  // And what has pushed the others down.
  await (engineOf(cache).space('filler') as Space).clear()
  while ((await tiersOf(cache)).hdd.entries > 0) {
    for await (const { key } of cache.scan()) expect(key).toBe('none')
    await after(20)
  }
})

it('a damaged entry is an error and never a wrong value', async () => {
  const dir = testFolder()
  const options = { dir, memory: '1mb' as const, tiers: { hdd: { path: join(dir, 'hdd') } } }
  const internal = { __internal: { fileBytes: 64 * 1024, ssdBudgetBytes: 0, warms: false } }
  const text = (n: number) => `${n}/`.padEnd(3000, 'v')
  let cache = await open({ ...options, ...internal })
  for (let n = 0; n < 500; n++) await cache.set(`key ${n}`, text(n))
  await cache.flush()
  while ((await tiersOf(cache)).hdd.entries < 200) await after(20)
  await cache.close()
  // Every second one: where the bit lies that is wrong, nobody but the check of the entry can see.
  const level = new ClassicLevel<Buffer, Buffer>(join(dir, 'hdd', 'level'), {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
  })
  const damaged = new Set<string>()
  let seen = 0
  for (const [key, value] of await level.iterator().all()) {
    if (key.length === 1 || seen++ % 2 === 0) continue
    const at = (seen * 37) % value.length
    value[at] = (value[at] as number) ^ (1 << (seen % 8))
    await level.put(key, value)
    damaged.add(key.subarray(2).toString())
  }
  await level.close()
  cache = await open({ ...options, ...internal })
  expect(damaged.size).toBeGreaterThan(90)
  let failed = 0
  for (let n = 0; n < 500; n++) {
    const key = `key ${n}`
    const read = cache.get(key)
    if (!damaged.has(key)) {
      expect(await read).toBe(text(n))
      continue
    }
    // What is on the SSD as well is read there.
    const got = await read.catch((error: { code: string }) => error.code)
    expect([text(n), 'ERR_RAMCACHE_CORRUPT']).toContain(got)
    if (got === 'ERR_RAMCACHE_CORRUPT') failed++
  }
  expect(failed).toBeGreaterThan(90)
  await cache.close()
}, 0)

it('a store is opened with all of its tiers, and an HDD tier with its own store', async () => {
  const dir = testFolder()
  const first = join(dir, 'first')
  const second = join(dir, 'second')
  const with1 = (hdd: string | false) => ({
    dir: first,
    memory: '1mb' as const,
    tiers: { hdd: hdd === false ? hdd : { path: hdd } },
  })
  const refused = async (options: Parameters<typeof open>[0], message: RegExp) => {
    await expect(open(options)).rejects.toMatchObject({ code: 'ERR_RAMCACHE_CONFIG', message: expect.stringMatching(message) }) // biome-ignore format: one line
  }
  const hdd = join(dir, 'hdd')
  const cache = await open(with1(hdd))
  await cache.set('k', 1)
  await cache.close()
  await refused(with1(false), /has entries in an HDD tier, last at .*hdd; open it with tiers.hdd/)
  await refused(with1(join(dir, 'other')), /has no HDD tier, but the store .* is its disk mounted/)
  await refused(
    { dir: second, memory: '1mb', tiers: { hdd: { path: hdd } } },
    /belongs to the store [0-9a-f]{16}/,
  )
  mkdirSync(join(dir, 'full'))
  writeFileSync(join(dir, 'full', 'thesis.txt'), '')
  const fresh = { dir: join(dir, 'third'), memory: '1mb' as const }
  await refused({ ...fresh, tiers: { hdd: { path: join(dir, 'full') } } }, /is not empty: it has thesis.txt/)
  // It may move.
  renameSync(hdd, join(dir, 'moved'))
  const moved = await open(with1(join(dir, 'moved')))
  expect(await moved.get('k')).toBe(1)
  await moved.close()
})
