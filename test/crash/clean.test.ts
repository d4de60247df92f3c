/** What a close saves for the next start, so that it reads no log; and what is left of that when it is of no use any more. */
import { copyFileSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { type Cache, type OpenOptions, open } from '../../src/index.ts'
import { testFolder } from '../support/folders.ts'
import { OwnerProcess } from '../support/processes.ts'
import { removeArena } from './support.ts'

const count = 3000
const textOf = (number: number) => `${number}:`.padEnd(300, '.')

// Larger than what it holds, or checkpoints would leave nothing to be read again.
const at = (dir: string, hdd = false): OpenOptions => ({
  dir,
  memory: '16mb',
  ...(hdd ? { tiers: { hdd: { path: join(dir, 'hdd') } } } : {}),
})

async function replayed(cache: Cache): Promise<number> {
  return (await cache.stats()).durability.replayedBytes
}

/** Of every kind of change there is. */
async function fill(cache: Cache): Promise<void> {
  for (let number = 0; number < count; number++) await cache.set(`k${number}`, textOf(number))
  for (let number = 0; number < count; number += 10) await cache.delete(`k${number}`)
  await cache.touch('k1', '1h')
  const [cleared, pinned] = [cache.namespace('cleared'), cache.namespace('pinned', { pin: true })]
  await cleared.set('gone', 1)
  await cleared.clear()
  await pinned.set('stays', { in: 'RAM' })
  const blob = cache.createWriteStream('blob')
  blob.end(Buffer.alloc(50_000, 5))
  await new Promise((resolve) => blob.once('close', resolve))
}

async function check(cache: Cache): Promise<void> {
  for (let number = 0; number < count; number++) {
    expect(await cache.get(`k${number}`)).toBe(number % 10 === 0 ? undefined : textOf(number))
  }
  expect((await cache.getEntry('k1'))?.expiresAt).toBeGreaterThan(0)
  expect(await cache.namespace('cleared').get('gone')).toBe(undefined)
  const pinned = cache.namespace('pinned', { pin: true })
  expect(await pinned.get('stays')).toEqual({ in: 'RAM' })
  expect((await cache.getEntry('blob'))?.size).toBe(50_000)
}

it.each(['two tiers', 'three tiers'])('after a close nothing of the log is read: %s', async (tiers) => {
  const options = at(testFolder(), tiers === 'three tiers')
  const first = await open(options)
  await fill(first)
  await first.close()
  for (let start = 0; start < 3; start++) {
    const cache = await open(options)
    expect(await replayed(cache)).toBe(0)
    await check(cache)
    // What is pinned comes up by itself.
    while (cache.namespace('pinned', { pin: true }).getSync('stays') === undefined) {
      await new Promise((resolve) => setImmediate(resolve))
    }
    await cache.set(`start ${start}`, start)
    for (let earlier = 0; earlier <= start; earlier++)
      expect(await cache.get(`start ${earlier}`)).toBe(earlier)
    await cache.close()
  }
})

it.each(['and its memory is there', 'and its memory is gone'])(
  'a killed owner left what an earlier close had saved, %s: the log is read',
  async (memory) => {
    const dir = testFolder()
    const first = await open(at(dir))
    await fill(first)
    await first.close()
    const tail = join(dir, 'ssd', 'tail')
    copyFileSync(tail, `${dir}/kept`)
    const owner = await OwnerProcess.start(JSON.stringify(at(dir)))
    expect(owner.first).toEqual({ value: 'ready' })
    expect(existsSync(tail)).toBe(false)
    await owner.call('set', 'k1', 'newer', { durability: 'sync' })
    await owner.call('delete', 'k2')
    await owner.call('set', 'later', 1, { durability: 'sync' })
    await owner.kill('SIGKILL')
    copyFileSync(`${dir}/kept`, tail)
    if (memory.endsWith('gone')) removeArena(dir)
    await using cache = await open(at(dir))
    expect(await replayed(cache)).toBeGreaterThan(count * 300)
    expect(existsSync(tail)).toBe(false)
    expect(await cache.get('k1')).toBe('newer')
    expect(await cache.get('k2')).toBe(undefined)
    expect(await cache.get('later')).toBe(1)
    expect(await cache.get('k3')).toBe(textOf(3))
  },
)
