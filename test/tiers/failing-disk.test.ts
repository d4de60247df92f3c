/** What an owner does when the disk of its SSD tier is full, read-only or broken: real file systems, real errors. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it, onTestFinished, vi } from 'vitest'
import { type Cache, open } from '../../src/index.ts'
import { readOnly, smallDisk } from '../support/disks.ts'
import { failure } from '../support/errors.ts'
import { testFolder } from '../support/folders.ts'

const megabyte = 1024 * 1024
const textOf = (n: number) => `${n}/`.padEnd(1000)

async function openOn(dir: string, disk: string): Promise<Cache> {
  const internal = { __internal: { fileBytes: megabyte } }
  const cache = await open({ dir, memory: '1mb', tiers: { ssd: { path: join(disk, 'ssd') } }, ...internal })
  onTestFinished(() => cache.close().catch(() => {}))
  return cache
}

/** Writes until it is refused; how many were acknowledged, and what with. */
async function fill(cache: Cache, code: 'ERR_RAMCACHE_FULL' | 'ERR_RAMCACHE_POISONED') {
  let written = 0
  const error = await failure(code, async () => {
    for (;;) {
      await cache.set(`k${written}`, textOf(written))
      written++
      // The log is to see each of them, and so is who waits for it.
      if (written % 100 === 0) await cache.flush()
    }
  })
  expect(written).toBeGreaterThan(0)
  return { written, error }
}

async function expectAll(cache: Cache, from: number, to: number): Promise<void> {
  for (let n = from; n < to; n++) expect(await cache.get(`k${n}`)).toBe(textOf(n))
}

it('full: values are refused, deletes go on, nothing is lost, and writes go on when there is room', async () => {
  const [dir, disk] = [testFolder(), smallDisk(32)]
  const ballast = join(disk, 'ballast')
  writeFileSync(ballast, Buffer.alloc(20 * megabyte))
  let cache = await openOn(dir, disk)
  const { written, error } = await fill(cache, 'ERR_RAMCACHE_FULL')
  expect(error.message).toContain(join(disk, 'ssd', 'log'))
  expect(error.message).toMatch(/ENOSPC|No space left.*\d+ bytes are free/)
  await expectAll(cache, 0, written)
  expect((await cache.stats()).durability.poisoned).toBe(false)
  // Of each kind of write.
  await failure('ERR_RAMCACHE_FULL', () => cache.setMany([['new', 1]]))
  await failure('ERR_RAMCACHE_FULL', () => cache.incr('new', 1, { init: 0 }))
  await failure('ERR_RAMCACHE_FULL', () => cache.add('new', 1))
  for (let n = 0; n < 20; n++) expect(await cache.delete(`k${n}`)).toBe(true)
  await cache.namespace('other').clear()
  await cache.flush()
  await failure('ERR_RAMCACHE_FULL', () => cache.set('new', 1))

  rmSync(ballast)
  await vi.waitFor(() => cache.set('new', 1), { timeout: 30_000 })
  await cache.flush()
  await cache.close()
  cache = await openOn(dir, disk)
  expect(await cache.get('new')).toBe(1)
  for (let n = 0; n < 20; n++) expect(await cache.get(`k${n}`)).toBe(undefined)
  await expectAll(cache, 20, written)
})

it('full at the start: what was there is served, and can be deleted', async () => {
  const [dir, disk] = [testFolder(), smallDisk(32)]
  let cache = await openOn(dir, disk)
  for (let n = 0; n < 3000; n++) await cache.set(`k${n}`, textOf(n))
  await cache.close()
  // More than there is: what fits of it stays.
  const free = 40 * megabyte
  const ballast = join(disk, 'ballast')
  expect(() => writeFileSync(ballast, Buffer.alloc(free))).toThrow('ENOSPC')
  cache = await openOn(dir, disk)
  await expectAll(cache, 0, 3000)
  expect(await cache.delete('k7')).toBe(true)
  await failure('ERR_RAMCACHE_FULL', async () => {
    for (;;) {
      await cache.set('new', textOf(1))
      await cache.flush()
    }
  })
  expect(await cache.get('k7')).toBe(undefined)
})

it('read-only at open(): refused, with the path', async () => {
  const [dir, disk] = [testFolder(), smallDisk(32)]
  mkdirSync(join(disk, 'ssd'))
  const writable = readOnly(disk)
  const error = await failure('ERR_RAMCACHE_UNAVAILABLE', () => openOn(dir, disk))
  expect(error.message).toContain(disk)
  expect(error.message).toContain('ead-only')
  writable()
  const cache = await openOn(dir, disk)
  await cache.set('k', 1, { durability: 'sync' })
})

it('read-only meanwhile: poisoned, reads go on, opening again heals', async () => {
  const [dir, disk] = [testFolder(), smallDisk(64)]
  const cache = await openOn(dir, disk)
  await cache.set('before', 1, { durability: 'sync' })
  const writable = readOnly(disk)
  const { written, error } = await fill(cache, 'ERR_RAMCACHE_POISONED')
  expect(error.message).toContain(join(disk, 'ssd', 'log'))
  expect(error.message).toMatch(/ead-only.*open it again/)
  await expectAll(cache, 0, written)
  expect(await cache.get('before')).toBe(1)
  await failure('ERR_RAMCACHE_POISONED', () => cache.delete('k1'))
  await failure('ERR_RAMCACHE_POISONED', () => cache.flush())
  const { durability } = await cache.stats()
  expect(durability.poisoned).toBe(true)
  expect(durability.dirtyBytes).toBeGreaterThan(0)
  await failure('ERR_RAMCACHE_POISONED', () => cache.close())
  writable()
  const again = await openOn(dir, disk)
  await expectAll(again, 0, written)
  expect(await again.get('before')).toBe(1)
  await again.set('after', 1, { durability: 'sync' })
  expect((await again.stats()).durability).toMatchObject({ poisoned: false })
})

it('a write that fails in the middle: poisoned, and nothing acknowledged is lost', () => {
  const script = fileURLToPath(new URL('children/broken-disk.mjs', import.meta.url))
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, testFolder()], { encoding: 'utf8' })
  expect(stderr).toBe('')
  expect(stdout).toContain('healed')
  expect(status).toBe(0)
})

it('says how much is not durable yet', async () => {
  const [dir, disk] = [testFolder(), smallDisk(64)]
  const cache = await openOn(dir, disk)
  await cache.flush()
  expect((await cache.stats()).durability).toEqual({
    dirtyBytes: 0,
    flushLagMs: 0,
    poisoned: false,
    replayedBytes: 0,
  })
  // Again where the flush of every second has come between.
  await vi.waitFor(async () => {
    await cache.flush()
    for (let n = 0; n < 200; n++) await cache.set(`k${n}`, textOf(n))
    const { dirtyBytes, flushLagMs } = (await cache.stats()).durability
    expect(dirtyBytes).toBeGreaterThan(200 * 1000)
    expect(dirtyBytes).toBeLessThan(200 * 1300)
    expect(flushLagMs).toBeGreaterThan(0)
  })
  // Within a second by itself.
  const clean = { dirtyBytes: 0, flushLagMs: 0, poisoned: false, replayedBytes: 0 }
  await vi.waitFor(async () => expect((await cache.stats()).durability).toEqual(clean), { timeout: 30_000 })
})
