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
import { sweepEveryMs } from '../../src/cache/blob-sweep.ts'
import { advanceClock, sweepBlobs } from '../../src/cache/internal.ts'
import { attach, type Cache, open, type ReadonlyCache } from '../../src/index.ts'
import { blobKeys } from '../support/blobs.ts'
import { failure } from '../support/errors.ts'

const child = fileURLToPath(new URL('children/streams.mjs', import.meta.url))
const manualClock = { __internal: { clock: 'manual' } }
let dir: string

/** Whether the blob of the child is what it wrote. */
async function read(cache: ReadonlyCache, key: string): Promise<boolean> {
  const found = await buffer(await cache.createReadStream(key))
  return found.length === 100 * 16 * 1024 && found.every((byte, at) => byte === Math.floor(at / (16 * 1024)))
}

function recordsIn(cache: Cache): string[] {
  return blobKeys(cache).filter((key) => /^[0-9a-f]{32}$/.test(key))
}

async function sweepAgain(cache: Cache): Promise<number> {
  advanceClock(cache, sweepEveryMs)
  return sweepBlobs(cache)
}

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
  // Its memory is taken over, so what it had published is there.
  await using next = await open({ dir, tiers: { ssd: false }, memory: '16mb', ...manualClock })
  expect(await read(next, 'whole')).toBe(true)
  expect(await next.has('half')).toBe(false)
  expect(recordsIn(next)).toHaveLength(2)
  advanceClock(next, sweepEveryMs)
  expect(await sweepBlobs(next)).toBe(0)
  advanceClock(next, leaseMs)
  expect((await sweepBlobs(next)) + (await sweepAgain(next))).toBe(1)
  expect(recordsIn(next)).toHaveLength(1)
  expect(await read(next, 'whole')).toBe(true)
  await next.delete('whole')
  expect((await sweepAgain(next)) + (await sweepAgain(next))).toBe(1)
  expect(blobKeys(next)).toEqual([])
})

it('a process attached to one that is killed goes on reading its blobs', async () => {
  const process = fork(child, ['half', dir])
  await once(process, 'message')
  await using reader = await attach({ dir })
  const ended = once(process, 'exit')
  process.kill('SIGKILL')
  await ended
  expect(await read(reader, 'whole')).toBe(true)
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
