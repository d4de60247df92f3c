/** What an owner does when a thread of its tiers ends before its time: who waits is told, and nothing is lost. */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { expect, it, onTestFinished, vi } from 'vitest'
import { open, type RamcacheError } from '../../src/index.ts'
import { backup } from '../../src/keep.ts'
import { HddLink } from '../../src/owner/hdd-link.ts'
import { failure } from '../support/errors.ts'
import { testFolder } from '../support/folders.ts'
import { openThreeTiers } from '../support/stores.ts'

/** A value that lets few entries stay in RAM. */
const padding = 'x'.repeat(2000)

/** The threads in the order they are started, the one that keeps the index first. */
function watchThreads(seen: (worker: Worker, index: number) => void = () => {}): Worker[] {
  const workers: Worker[] = []
  const { unref } = Worker.prototype
  const spy = vi.spyOn(Worker.prototype, 'unref').mockImplementation(function (this: Worker) {
    if (!workers.includes(this)) seen(this, workers.push(this) - 1)
    return unref.call(this)
  })
  onTestFinished(() => spy.mockRestore())
  return workers
}

async function keysOf(cache: Awaited<ReturnType<typeof open>>): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of cache.scan()) keys.push(key)
  return keys
}

it('without the thread that keeps the index scans and jobs fail, writes and reads go on', async () => {
  const workers = watchThreads()
  const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
  const dir = testFolder()
  const options = { dir, memory: '1mb' } as const
  let cache = await open(options)
  await cache.set('before', 1)
  expect(await keysOf(cache)).toEqual(['before'])
  await (workers[0] as Worker).terminate()
  expect(String(warned.mock.calls[0]?.[0])).toContain('the thread that keeps the index')
  warned.mockRestore()
  const error = await failure('ERR_RAMCACHE_UNAVAILABLE', () => keysOf(cache))
  expect(error.message).toContain('open it again')
  await failure('ERR_RAMCACHE_UNAVAILABLE', () => backup(cache, `${dir}-backup`))
  await cache.set('after', 2, { durability: 'sync' })
  expect(await cache.get('before')).toBe(1)
  await cache.close()
  cache = await open(options)
  expect((await keysOf(cache)).sort()).toEqual(['after', 'before'])
  await cache.close()
})

it('without it nobody waits for the HDD tier either: what reaches it fails, and is there after the next start', async () => {
  const workers = watchThreads()
  const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
  let placement = await openThreeTiers()
  const { cache } = placement
  const keys = Array.from({ length: 50 }, (_, number) => `cold ${number}`)
  for (const key of keys) await cache.set(key, key)
  await placement.freeze()
  await cache.set('warm', 1)
  expect((await cache.getEntry('cold 0'))?.tier).toBe('hdd')
  // Some of these have been asked when it ends, and are answered or fail; none waits for ever.
  const asked = keys.map((key) => cache.get(key).catch(({ code }) => code))
  await (workers[0] as Worker).terminate()
  for (const [number, answer] of (await Promise.all(asked)).entries()) {
    expect([keys[number], 'ERR_RAMCACHE_UNAVAILABLE']).toContain(answer)
  }
  // Read once at most, so it has not come up.
  const error = await failure('ERR_RAMCACHE_UNAVAILABLE', () => cache.get('cold 1'))
  expect(error.message).toContain('open it again')
  await failure('ERR_RAMCACHE_UNAVAILABLE', () => cache.add('cold 2', 'another'))
  expect(await cache.get('warm')).toBe(1)
  await cache.set('cold 3', 'new', { durability: 'sync' })
  warned.mockRestore()
  placement = await placement.reopen()
  expect(await placement.cache.get('cold 1')).toBe('cold 1')
  expect(await placement.cache.get('cold 3')).toBe('new')
  await placement.end()
})

it('who asks for work of a thread of the HDD tier that ends is told, and so is who has started it', async () => {
  const worker = new Worker('require("node:worker_threads").parentPort.on("message", () => {})', {
    eval: true,
  })
  const ended: string[] = []
  const link = new HddLink(worker, (message) => ended.push(message))
  const asked = failure('ERR_RAMCACHE_UNAVAILABLE', () => link.count())
  await worker.terminate()
  expect((await asked).message).toContain('the thread of the HDD tier has ended')
  await failure('ERR_RAMCACHE_UNAVAILABLE', () => link.sweep())
  expect(ended).toHaveLength(1)
})

it('open() fails when a thread ends without a word, and works the next time', async () => {
  let isFirst = true
  watchThreads((worker, index) => {
    if (index === 1 && isFirst) void worker.terminate()
  })
  const dir = testFolder()
  const error = await failure('ERR_RAMCACHE_UNAVAILABLE', () => open({ dir, memory: '1mb' }))
  expect(error.message).toContain('a thread of the tiers has ended')
  isFirst = false
  const cache = await open({ dir, memory: '1mb' })
  await cache.set('k', 1)
  await cache.close()
})

it('reads of the other threads fail when the one that opened the store first has ended', async () => {
  const dir = testFolder()
  const first = new Worker(new URL('children/opener.mjs', import.meta.url), {
    workerData: { dir, keys: 2000 },
  })
  await once(first, 'message')
  const cache = await open({ dir, memory: '1mb' })
  // Most are no longer in RAM; some are on their way when the readers end.
  const asked = Array.from({ length: 2000 }, (_, number) =>
    cache.get(`cold ${number}`).catch(({ code }) => code),
  )
  await first.terminate()
  for (const answer of await Promise.all(asked))
    expect([padding, 'ERR_RAMCACHE_UNAVAILABLE']).toContain(answer)
  await cache.set('after', 1)
  expect(await cache.get('after')).toBe(1)
  const answers = await Promise.all(
    Array.from({ length: 2000 }, (_, number) => cache.get(`cold ${number}`).catch((error) => error)),
  )
  const errors = answers.filter((answer) => answer !== padding)
  expect(errors.length).toBeGreaterThan(0)
  for (const { code, message } of errors as RamcacheError[]) {
    expect(code).toBe('ERR_RAMCACHE_UNAVAILABLE')
    expect(message).toContain('open it again')
  }
  await cache.close()
  const again = await open({ dir, memory: '1mb' })
  for (const number of [0, 999, 1999]) expect(await again.get(`cold ${number}`)).toBe(padding)
  expect(await again.get('after')).toBe(1)
  await again.close()
})
