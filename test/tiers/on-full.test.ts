/** What a store does when its last tier is full: refuses, or drops what is coldest, as each namespace says. */
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { setTimeout as after } from 'node:timers/promises'
import { expect, it, onTestFinished, vi } from 'vitest'
import { type Cache, type OpenOptions, open } from '../../src/index.ts'
import { patternOf } from '../support/blobs.ts'
import { smallDisk } from '../support/disks.ts'
import { failure } from '../support/errors.ts'
import { testFolder } from '../support/folders.ts'

const megabyte = 1024 * 1024
const textOf = (key: string, version: number) => `${key}/${version}/`.padEnd(1000, 'v')
const evicting = { default: { onFull: 'evict-coldest' } } as const

async function openSmall(dir: string, options: Partial<OpenOptions>, internal: object = {}): Promise<Cache> {
  const own = { __internal: { fileBytes: megabyte, ...internal } }
  const cache = await open({ dir, memory: '1mb', ...options, ...own })
  onTestFinished(() => cache.close().catch(() => {}))
  return cache
}

/** Every key has the value it was given last, or none; how many have one. */
async function countRight(cache: Cache, model: ReadonlyMap<string, number>): Promise<number> {
  const wrong: string[] = []
  let found = 0
  for (const [key, version] of model) {
    const value = await cache.get(key)
    if (value !== undefined) found++
    if (value !== undefined && value !== textOf(key, version)) wrong.push(key)
  }
  expect(wrong).toEqual([])
  return found
}

/** Four times what the disk holds: new keys, old ones again, some deleted. */
async function overfill(cache: Cache, count: number): Promise<Map<string, number>> {
  const model = new Map<string, number>()
  for (let n = 0; n < count; n++) {
    // The third write of each key comes when the first has long been dropped.
    const key = `k${n % 3 === 2 ? Math.floor(n / 2) : n}`
    await cache.set(key, textOf(key, n))
    model.set(key, n)
    if (n % 50 === 0) {
      const gone = `k${Math.floor(n / 3)}`
      await cache.delete(gone)
      model.delete(gone)
      expect(await cache.get(gone)).toBe(undefined)
    }
  }
  return model
}

it.each([
  ['its disk', {}, {}],
  ['its budget', { ssdBudgetBytes: 12 * megabyte }, {}],
  ['a disk, of writes that are durable at once', {}, { durability: 'sync' as const }],
  ['a disk, of writes that are not', {}, { durability: 'none' as const }],
])(
  'evict-coldest: nothing is refused when %s is full, and what is read is right or a miss',
  async (_, internal, settings) => {
    const [dir, disk] = [testFolder(), smallDisk(24)]
    const tiers = { ssd: { path: join(disk, 'ssd') } }
    const options = { tiers, namespaces: { default: { ...evicting.default, ...settings } } }
    let cache = await openSmall(dir, options, internal)
    const isSync = 'durability' in settings && settings.durability === 'sync'
    const count = isSync ? 30_000 : 40_000
    const model = await overfill(cache, count)
    expect((await cache.stats()).sets).toBe(count)
    // A budget is kept behind the writes, as long as the disk has room.
    const dropped = async () => expect((await cache.stats()).tiers.ssd.evictions).toBeGreaterThan(count / 4)
    await vi.waitFor(dropped, { timeout: 120_000, interval: 20 })
    const found = await countRight(cache, model)
    // Some megabytes of the disk are used, and no more than there are.
    expect(found).toBeGreaterThan(2000)
    expect(found).toBeLessThan(24_000)
    await cache.close()
    cache = await openSmall(dir, options, internal)
    await countRight(cache, model)
  },
  0,
)

it('error, the default: values are refused, and what was acknowledged stays, also beside a namespace that lets go', async () => {
  const [dir, disk] = [testFolder(), smallDisk(32)]
  const tiers = { ssd: { path: join(disk, 'ssd') } }
  const cache = await openSmall(dir, { tiers, namespaces: { expendable: { onFull: 'evict-coldest' } } })
  const expendable = cache.namespace('expendable')
  const kept = new Map(Array.from({ length: 5000 }, (_, n) => [`k${n}`, 1]))
  for (let n = 0; n < kept.size; n++) await cache.set(`k${n}`, textOf(`k${n}`, 1))
  const model = await overfill(expendable, 36_000)
  expect((await cache.stats()).tiers.ssd.evictions).toBeGreaterThan(10_000)
  expect(await countRight(expendable, model)).toBeGreaterThan(1000)
  expect(await countRight(cache, kept)).toBe(5000)
  // When only what must stay is left, the next one is refused.
  let written = 5000
  const error = await failure('ERR_RAMCACHE_FULL', async () => {
    for (; ; written++) {
      await cache.set(`k${written}`, textOf(`k${written}`, 1))
      kept.set(`k${written}`, 1)
    }
  })
  expect(error.message).toContain(join(disk, 'ssd', 'log'))
  expect(await countRight(cache, kept)).toBe(written)
}, 0)

it('evict-coldest with an HDD tier: what is coldest there goes, once that is full', async () => {
  const dir = testFolder()
  const options = { tiers: { hdd: { path: join(dir, 'hdd') } }, namespaces: evicting }
  const internal = { ssdBudgetBytes: 6 * megabyte, hddBudgetBytes: 12 * megabyte }
  let cache = await openSmall(dir, options, internal)
  const model = await overfill(cache, 40_000)
  await cache.flush()
  // Until the SSD tier is within its budget.
  let counted = (await cache.stats()).tiers
  while (counted.ssd.bytes > 7 * megabyte) {
    await after(20)
    counted = (await cache.stats()).tiers
  }
  const { ssd, hdd } = counted
  expect(hdd.evictions).toBeGreaterThan(5000)
  expect(hdd.demotedIn).toBeGreaterThan(hdd.entries)
  expect(hdd.bytes).toBeLessThan(14 * megabyte)
  expect(ssd.evictions).toBe(0)
  const found = await countRight(cache, model)
  expect(found).toBeGreaterThan(8000)
  await cache.close()
  cache = await openSmall(dir, options, internal)
  await countRight(cache, model)
}, 0)

it('evict-coldest: blobs are dropped as well, whole or with an error, and never read short', async () => {
  const [dir, disk] = [testFolder(), smallDisk(24)]
  const tiers = { ssd: { path: join(disk, 'ssd') } }
  const cache = await openSmall(dir, { tiers, namespaces: evicting })
  const count = 150
  const bytesOf = (n: number) => patternOf(400_000 + n)
  for (let n = 0; n < count; n++) await pipeline([bytesOf(n)], cache.createWriteStream(`blob ${n}`))
  const met = { whole: 0, gone: 0 }
  for (let n = 0; n < count; n++) {
    const read = async () => buffer(await cache.createReadStream(`blob ${n}`))
    const bytes = await read().catch((error: { code: string }) => {
      expect(error.code).toBe('ERR_RAMCACHE_UNAVAILABLE')
      return undefined
    })
    if (bytes) expect(bytes.equals(bytesOf(n))).toBe(true)
    met[bytes ? 'whole' : 'gone']++
  }
  expect(met.whole).toBeGreaterThan(5)
  expect(met.gone).toBeGreaterThan(count / 3)
}, 0)
