/** Blobs and processes, with tiers below RAM: more than fits into memory, and owners that are killed. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { beforeEach, expect, it, onTestFinished } from 'vitest'
import { Prng } from '../../src/base/prng.ts'
import { leaseMs } from '../../src/cache/blob-leases.ts'
import { sweepEveryMs } from '../../src/cache/blob-sweep.ts'
import { advanceClock, sweepBlobs } from '../../src/cache/internal.ts'
import { type Cache, open } from '../../src/index.ts'
import { blobSpace, idsBelow } from '../support/blobs.ts'
import { testFolder } from '../support/folders.ts'
import { testSeed } from '../support/seed.ts'

const child = fileURLToPath(new URL('children/streams.mjs', import.meta.url))
const megabyte = 1024 * 1024
const pieceBytes = 16 * 1024
const chunkBytes = 128 * 1024
const options = { memory: '16mb', ...{ __internal: { clock: 'manual' } } }
let dir: string

beforeEach(() => {
  dir = testFolder()
})

function start(...args: string[]): ChildProcess {
  const process = fork(child, args)
  onTestFinished(() => {
    process.kill('SIGKILL')
  })
  return process
}

async function kill(process: ChildProcess): Promise<void> {
  const ended = once(process, 'exit')
  process.kill('SIGKILL')
  await ended
}

/** What a power cut leaves of memory. */
function forgetArena(): void {
  const { data, touch } = JSON.parse(readFileSync(join(dir, 'owner'), 'utf8'))
  for (const path of [data, touch]) rmSync(path, { force: true })
}

async function sweepAll(cache: Cache): Promise<number> {
  let count = 0
  for (let round = 0; round < 3; round++) {
    advanceClock(cache, sweepEveryMs)
    count += await sweepBlobs(cache)
  }
  return count
}

const largeMegabytes = process.env.RAMCACHE_LARGE === '1' ? [200, 2048] : [200]

it.each(largeMegabytes)(
  '%i MB pass through 16 MB of memory and come back, before and after a restart',
  async (megabytes) => {
    const process = start('larger', dir, String(megabytes))
    const ended = once(process, 'exit')
    const [found] = await Promise.race([once(process, 'message'), ended])
    expect(found).toMatchObject({ total: megabytes * megabyte })
    expect(found.read).toEqual(Array(4).fill(megabytes * megabyte))
    // Only those the range lies in.
    expect(found.chunksOfRange).toEqual(Array(3).fill(megabyte / chunkBytes))
    // Beside what the streams hold: buffers the collector has not taken back, and memory the allocator keeps. It levels
    // off: about 110 MiB here, 250 MiB when ten times as much passes through.
    expect(found.grownBytes).toBeLessThan((megabytes > 1024 ? 400 : 192) * megabyte)
    expect(await ended).toEqual([0, null])
  },
  0,
)

it.each([
  ['its memory', () => {}],
  ['only its disk', forgetArena],
])('a killed owner leaves %s: whole blobs, and the sweep takes the half one', async (_, lose) => {
  const process = start('half', dir, 'tiers')
  await once(process, 'message')
  await kill(process)
  lose()
  await using next = await open({ dir, ...options })
  const whole = await buffer(await next.createReadStream('whole'))
  expect(whole.every((byte, at) => byte === Math.floor(at / pieceBytes))).toBe(true)
  expect(whole).toHaveLength(100 * pieceBytes)
  expect(await next.has('half')).toBe(false)
  const ids = await idsBelow(next)
  expect(ids).toHaveLength(2)
  // Its lease stands still: nobody knows that its holder is dead.
  expect(await sweepAll(next)).toBe(0)
  advanceClock(next, leaseMs)
  expect(await sweepAll(next)).toBe(1)
  const left = await idsBelow(next)
  expect(left).toHaveLength(1)
  for (const id of ids.filter((id) => !left.includes(id))) {
    for (let number = 0; number < 16; number++) {
      expect(await blobSpace(next).look(`${id}/${number}`)).toBe(undefined)
    }
  }
  expect((await buffer(await next.createReadStream('whole'))).equals(whole)).toBe(true)
})

it('whenever an owner is killed, a manifest that is there leads to a whole blob', async () => {
  const prng = new Prng(testSeed('blobs of a killed owner'))
  for (let round = 0; round < 4; round++) {
    const process = start('many', dir)
    let written = -1
    process.on('message', (number) => {
      written = number as number
    })
    for (let count = 1 + prng.below(20); count >= 0; count--) await once(process, 'message')
    await kill(process)
    expect(written).toBeGreaterThanOrEqual(0)
    forgetArena()
    await using next = await open({ dir, ...options })
    for (const key of ['k0', 'k1', 'k2']) {
      const entry = await next.getEntry(key)
      if (entry === undefined) continue
      const bytes = await buffer(await next.createReadStream(key))
      expect(bytes).toHaveLength(entry.size)
      const content = bytes.readUInt32LE(4)
      expect(entry.size).toBe((1 + ((content * 7) % 90)) * pieceBytes)
      for (let at = 0; at < bytes.length; at += pieceBytes) {
        expect([bytes.readUInt32LE(at), bytes.readUInt32LE(at + 4)]).toEqual([at / pieceBytes, content])
      }
    }
    // Versions never go back, so the clock of a store goes on from where the round before has put it.
    advanceClock(next, (round + 1) * 10 * leaseMs)
    await sweepAll(next)
    const standing = (await Promise.all(['k0', 'k1', 'k2'].map((key) => next.has(key)))).filter(Boolean)
    expect(await idsBelow(next)).toHaveLength(standing.length)
  }
})
