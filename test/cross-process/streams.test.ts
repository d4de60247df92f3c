/** Blobs and processes: what a writer that dies leaves behind, and what a long blob costs the process it goes through. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { leaseMs } from '../../src/cache/blob-leases.ts'
import { sweepEveryMs } from '../../src/cache/blobs.ts'
import { advanceClock, sweepBlobs } from '../../src/cache/internal.ts'
import { attach, open } from '../../src/index.ts'
import { blobKeys } from '../support/blobs.ts'
import { failure } from '../support/errors.ts'

const child = fileURLToPath(new URL('children/streams.mjs', import.meta.url))
let dir: string

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ramcache-'))
})

afterEach(async () => {
  // Whoever opens the directory next removes what a killed owner left.
  await (await open({ dir, tiers: { ssd: false }, memory: '1mb' })).close()
  rmSync(dir, { recursive: true, force: true })
})

it('a long blob passes through a process without staying in it', async () => {
  const process = fork(child, ['flat', dir])
  const ended = once(process, 'exit')
  const [{ total, grownBytes }] = await once(process, 'message')
  expect(total).toBe(1024 * 1024 * 1024)
  // A few chunks, and what the collector has not yet taken back: 40 to 60 MiB, however much is read.
  expect(grownBytes).toBeLessThan(128 * 1024 * 1024)
  expect(await ended).toEqual([0, null])
})

it('a process killed while it writes leaves what it had published, and nothing else', async () => {
  const process = fork(child, ['half', dir])
  await once(process, 'message')
  const ended = once(process, 'exit')
  process.kill('SIGKILL')
  await ended
  await failure('ERR_RAMCACHE_UNAVAILABLE', () => attach({ dir }))
  await using next = await open({ dir, tiers: { ssd: false }, memory: '16mb' })
  expect(await next.has('half')).toBe(false)
  expect(blobKeys(next)).toEqual([])
})

it('a process attached to one that is killed goes on reading its blobs', async () => {
  const process = fork(child, ['half', dir])
  await once(process, 'message')
  await using reader = await attach({ dir })
  const ended = once(process, 'exit')
  process.kill('SIGKILL')
  await ended
  const found = await buffer(await reader.createReadStream('whole'))
  expect(found).toHaveLength(100 * 16 * 1024)
  expect(found.every((byte, at) => byte === Math.floor(at / (16 * 1024)))).toBe(true)
  expect(await reader.has('half')).toBe(false)
})

it('what a thread had half written when it ended is swept, once its lease has ended', async () => {
  await using cache = await open({
    dir,
    tiers: { ssd: false },
    memory: '16mb',
    ...{ __internal: { clock: 'manual' } },
  })
  const worker = new Worker(child, { workerData: { dir } })
  await once(worker, 'message')
  const sweep = async () => {
    advanceClock(cache, sweepEveryMs)
    return sweepBlobs(cache)
  }
  expect(await sweep()).toBe(0)
  await worker.terminate()
  expect(blobKeys(cache).length).toBeGreaterThan(5)
  expect((await sweep()) + (await sweep())).toBe(0)
  advanceClock(cache, leaseMs)
  expect((await sweep()) + (await sweep())).toBe(1)
  expect(await cache.has('k')).toBe(false)
  expect(blobKeys(cache)).toEqual([])
})
