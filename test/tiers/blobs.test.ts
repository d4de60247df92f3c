/** Blobs whose parts have left RAM: what looks for them asks the tiers below. Time stands still. */
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { sweepEveryMs } from '../../src/cache/blob-sweep.ts'
import { blobsOf, engineOf, sweepBlobs } from '../../src/cache/internal.ts'
import { Manifest } from '../../src/codec/blob.ts'
import type { Space } from '../../src/native/engine.ts'
import { blobKeys, blobSpace, idsBelow, patternOf } from '../support/blobs.ts'
import { failure } from '../support/errors.ts'
import { openTiered, type Placement } from '../support/stores.ts'

const chunkBytes = 16 * 1024
const many = patternOf(20 * chunkBytes + 99)
let placement: Placement

beforeEach(async () => {
  placement = await openTiered({ memory: '1mb' })
})

afterEach(async () => {
  await placement.end()
})

function spaceOf(): Space {
  return engineOf(placement.cache).space('default') as Space
}

async function write(key: string, bytes: Buffer): Promise<void> {
  const stream = placement.cache.createWriteStream(key)
  const closed = new Promise((resolve, reject) => stream.once('close', resolve).once('error', reject))
  stream.end(bytes)
  await closed
}

async function read(key: string, options?: object): Promise<Buffer> {
  return buffer(await placement.cache.createReadStream(key, options))
}

async function idOf(key: string): Promise<string> {
  const found = await spaceOf().look(key)
  if (!(found?.value instanceof Manifest)) throw new Error(`${key} is no blob`)
  return found.value.id
}

/** Writes other things until RAM has neither the manifest nor the record. */
async function pushOut(key: string): Promise<void> {
  const id = await idOf(key)
  const isThere = () => spaceOf().peek(key) !== undefined || blobSpace(placement.cache).peek(id) !== undefined
  for (let number = 0; isThere(); number++) {
    await placement.cache.set(`filler${number}`, Buffer.alloc(4096, number))
  }
}

async function sweepTwice(): Promise<number> {
  let count = 0
  for (let round = 0; round < 2; round++) {
    placement.advance(sweepEveryMs)
    count += await sweepBlobs(placement.cache)
  }
  return count
}

it('a blob that has left RAM is no orphan, and looking at it brings nothing back', async () => {
  await write('k', many)
  const id = await idOf('k')
  await pushOut('k')
  for (let round = 0; round < 3; round++) expect(await sweepTwice()).toBe(0)
  expect(spaceOf().peek('k')).toBe(undefined)
  expect(blobSpace(placement.cache).peek(id)).toBe(undefined)
  expect(await placement.cache.getEntry('k')).toMatchObject({ size: many.length, isBlob: true, tier: 'ssd' })
  expect((await read('k')).equals(many)).toBe(true)
  expect(
    (await read('k', { start: 5 * chunkBytes + 1, end: 7 * chunkBytes })).equals(
      many.subarray(5 * chunkBytes + 1, 7 * chunkBytes + 1),
    ),
  ).toBe(true)
  await failure('ERR_RAMCACHE_VALUE', () => placement.cache.get('k'))
})

it('what has left RAM and lost its manifest is swept, without a chunk being read', async () => {
  await write('k', many)
  const id = await idOf('k')
  await pushOut('k')
  expect(await placement.cache.delete('k')).toBe(true)
  const space = blobSpace(placement.cache)
  const inRam = Array.from({ length: 21 }, (_, number) => number).filter((number) =>
    space.peek(`${id}/${number}`),
  )
  expect(await sweepTwice()).toBe(1)
  expect(inRam.length).toBeLessThan(21)
  for (let number = 0; number < 21; number++) expect(await space.look(`${id}/${number}`)).toBe(undefined)
  expect(await space.look(id)).toBe(undefined)
  expect(await idsBelow(placement.cache)).toEqual([])
  placement = await placement.reopen()
  for (let number = 0; number < 21; number++) {
    expect(await blobSpace(placement.cache).look(`${id}/${number}`)).toBe(undefined)
  }
  expect(blobKeys(placement.cache).filter((key) => key.includes(id))).toEqual([])
})

it('a store that opens again has its blobs and their list', async () => {
  const keys = Array.from({ length: 70 }, (_, number) => `k${number}`)
  for (const key of keys) await write(key, patternOf(3 * chunkBytes, key.length))
  placement = await placement.reopen()
  expect(await idsBelow(placement.cache)).toHaveLength(70)
  expect(await sweepTwice()).toBe(0)
  for (const key of keys) {
    expect((await read(key)).equals(patternOf(3 * chunkBytes, key.length))).toBe(true)
  }
  await write('another', many)
  for (const key of keys) await placement.cache.delete(key)
  placement = await placement.reopen()
  // The clock begins anew; what expires does so by the one before.
  placement.advance(10 * sweepEveryMs)
  expect(await sweepTwice()).toBe(70)
  expect((await read('another')).equals(many)).toBe(true)
})

it('fails where a chunk is gone from every tier; then the blob is gone too', async () => {
  await write('k', many)
  const id = await idOf('k')
  await pushOut('k')
  blobSpace(placement.cache).discard(`${id}/3`)
  const error = await failure('ERR_RAMCACHE_UNAVAILABLE', () => read('k'))
  expect(error.message).toContain(String(3 * chunkBytes))
  expect(await placement.cache.has('k')).toBe(false)
})

it('a disk that cannot be read fails the stream, and takes nothing from the blob', async () => {
  await write('k', many)
  const blobs = blobsOf(placement.cache)
  const broken = new Error('no disk')
  blobs.chunk = () => Promise.reject(broken)
  await expect(read('k')).rejects.toBe(broken)
  Reflect.deleteProperty(blobs, 'chunk')
  expect((await read('k')).equals(many)).toBe(true)
})

it('a long list is swept in parts, and all of it in turn', async () => {
  const keys = Array.from({ length: 1500 }, (_, number) => `k${number}`)
  await Promise.all(keys.map((key) => write(key, Buffer.from(key))))
  for (let round = 0; round < 3; round++) expect(await sweepTwice()).toBe(0)
  await Promise.all(keys.map((key) => placement.cache.delete(key)))
  placement.advance(sweepEveryMs)
  await sweepBlobs(placement.cache)
  const counts: number[] = []
  for (let round = 0; round < 6; round++) {
    placement.advance(sweepEveryMs)
    counts.push(await sweepBlobs(placement.cache))
  }
  expect(Math.max(...counts)).toBeLessThanOrEqual(16 * 64)
  expect(counts.reduce((sum, count) => sum + count)).toBe(1500)
  expect(await idsBelow(placement.cache)).toEqual([])
})

it('a deleted key is absent, also right after a read of a cold one', async () => {
  await write('k', many)
  await pushOut('k')
  await placement.cache.set('gone', 1)
  await placement.cache.delete('gone')
  expect(placement.cache.getSync('k')).toBe(undefined)
  // It once asked for ever, as the answer to the read before still stood.
  expect(await placement.cache.get('gone')).toBe(undefined)
})
