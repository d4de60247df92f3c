/** What becomes of the chunks: readers beside writers, streams that are broken off, the sweep. Time stands still. */
import { once } from 'node:events'
import {
  createReadStream,
  createWriteStream,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, type Writable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { leaseMs } from '../../src/cache/blob-leases.ts'
import { sweepEveryMs } from '../../src/cache/blob-sweep.ts'
import { engineOf, sweepBlobs } from '../../src/cache/internal.ts'
import type { Manifest } from '../../src/codec/blob.ts'
import { attach, type Cache, open } from '../../src/index.ts'
import type { Space } from '../../src/native/engine.ts'
import { blobKeys, blobSpace, patternOf } from '../support/blobs.ts'
import { failure } from '../support/errors.ts'
import type { Placement } from '../support/stores.ts'
import type { OpenPlacement } from './cache.suite.ts'
import { chunkBytesUsual, read, write } from './streams.suite.ts'

export function blobContract(name: string, openPlacement: OpenPlacement, hasTiers: boolean): void {
  describe(`blobs, ${name}`, () => {
    let placement: Placement
    let cache: Cache

    beforeEach(async () => {
      placement = await openPlacement({ memory: '16mb' })
      cache = placement.cache
    })

    afterEach(async () => {
      await placement.end()
    })

    /** A store of 16 MiB has chunks of 128 KiB. */
    const chunk = 2 * chunkBytesUsual
    const many = patternOf(5 * chunk + 99)

    /** Two sweeps, as far apart as they are: the second one takes what the first has seen to be orphaned. */
    async function sweepTwice(): Promise<number> {
      placement.advance(sweepEveryMs)
      const first = await sweepBlobs(cache)
      placement.advance(sweepEveryMs)
      return first + (await sweepBlobs(cache))
    }

    async function firstPiece(stream: Readable): Promise<Buffer> {
      await once(stream, 'readable')
      return stream.read() as Buffer
    }

    const replacements: Record<string, () => Promise<unknown>> = {
      'another blob': () => write(cache, 'k', patternOf(3 * chunk, 7)),
      'a value': () => cache.set('k', 1),
      nothing: () => cache.delete('k'),
      'nothing, as all of its namespace': () => cache.clear(),
    }

    describe('a reader', () => {
      it.each(Object.keys(replacements))('is not disturbed when its blob gives way to %s', async (name) => {
        await write(cache, 'k', many)
        const stream = await cache.createReadStream('k')
        const start = await firstPiece(stream)
        await replacements[name]?.()
        expect(await sweepTwice()).toBe(0)
        const rest = await buffer(stream)
        expect(Buffer.concat([start, rest]).equals(many)).toBe(true)
        // Nobody reads it any more.
        expect(await sweepTwice()).toBe(1)
        const blobs = name === 'another blob' ? 1 : 0
        expect(blobKeys(cache).filter((key) => /^[0-9a-f]{32}$/.test(key))).toHaveLength(blobs)
      })

      it('is not disturbed when its blob expires', async () => {
        await write(cache, 'k', many, { ttl: 1000 })
        const stream = await cache.createReadStream('k')
        expect(await sweepTwice()).toBe(0)
        expect((await buffer(stream)).equals(many)).toBe(true)
      })

      it('shares its blob with others, each of which holds it', async () => {
        await write(cache, 'k', many)
        const streams = [await cache.createReadStream('k'), await cache.createReadStream('k')]
        await cache.delete('k')
        streams[0]?.destroy()
        expect(await sweepTwice()).toBe(0)
        expect((await buffer(streams[1] as Readable)).equals(many)).toBe(true)
        expect(await sweepTwice()).toBe(1)
        expect(blobKeys(cache)).toEqual([])
      })

      it('lets go when it is destroyed', async () => {
        await write(cache, 'k', many)
        const stream = await cache.createReadStream('k')
        await firstPiece(stream)
        expect(blobKeys(cache).some((key) => key.endsWith('+'))).toBe(true)
        stream.destroy()
        expect(blobKeys(cache).some((key) => key.endsWith('+'))).toBe(false)
        for await (const _ of await cache.createReadStream('k')) break
        expect(blobKeys(cache).some((key) => key.endsWith('+'))).toBe(false)
        const aborter = new AbortController()
        const aborted = await cache.createReadStream('k', { signal: aborter.signal })
        const ended = expect(buffer(aborted)).rejects.toMatchObject({ name: 'AbortError' })
        aborter.abort()
        await ended
        expect(blobKeys(cache).some((key) => key.endsWith('+'))).toBe(false)
      })

      it('that stood still for longer than its lease fails, and never ends early', async () => {
        await write(cache, 'k', many)
        const stream = await cache.createReadStream('k')
        await firstPiece(stream)
        await cache.delete('k')
        placement.advance(leaseMs)
        expect(await sweepTwice()).toBe(1)
        await failure('ERR_RAMCACHE_UNAVAILABLE', () => buffer(stream))
      })

      it.each([0, 3, 5])('fails where chunk %i is gone; then the blob is gone too', async (number) => {
        await write(cache, 'k', many)
        const { id } = manifestOf('k')
        blobSpace(cache).delete(`${id}/${number}`)
        const parts: Buffer[] = []
        const stream = await cache.createReadStream('k')
        const error = await failure('ERR_RAMCACHE_UNAVAILABLE', async () => {
          for await (const piece of stream) parts.push(piece)
        })
        expect(error.message).toContain(String(number * chunk))
        expect(Buffer.concat(parts).equals(many.subarray(0, number * chunk))).toBe(true)
        expect(await cache.has('k')).toBe(false)
        expect(await sweepTwice()).toBe(1)
        expect(blobKeys(cache)).toEqual([])
      })

      it('does not need the chunks outside of its range', async () => {
        await write(cache, 'k', many)
        const { id } = manifestOf('k')
        for (const number of [0, 1, 4, 5]) blobSpace(cache).delete(`${id}/${number}`)
        const found = await read(cache, 'k', { start: 2 * chunk, end: 4 * chunk - 1 })
        expect(found.equals(many.subarray(2 * chunk, 4 * chunk))).toBe(true)
        await failure('ERR_RAMCACHE_UNAVAILABLE', () =>
          read(cache, 'k', { start: 2 * chunk, end: 4 * chunk }),
        )
      })

      it('fails on a chunk of another length', async () => {
        await write(cache, 'k', many)
        blobSpace(cache).set(`${manifestOf('k').id}/1`, Buffer.alloc(chunk - 1))
        await failure('ERR_RAMCACHE_CORRUPT', () => read(cache, 'k'))
      })

      it('of a blob larger than the memory gets all of it where there are tiers, and else fails', async () => {
        const piece = patternOf(chunk)
        await pipeline(Readable.from(Array.from({ length: 200 }, () => piece)), cache.createWriteStream('k'))
        expect(await cache.getEntry('k')).toMatchObject({ size: 200 * chunk })
        if (hasTiers) {
          let at = 0
          for await (const part of await cache.createReadStream('k')) {
            expect(part.equals(piece)).toBe(true)
            at += part.length
          }
          expect(at).toBe(200 * chunk)
        } else {
          await failure('ERR_RAMCACHE_UNAVAILABLE', () => read(cache, 'k'))
          expect(await cache.has('k')).toBe(false)
        }
        await cache.set('other', 1)
        expect(await cache.get('other')).toBe(1)
      })

      it('in another process than the owner reads, and has time to finish', async () => {
        const dir = mkdtempSync(join(tmpdir(), 'ramcache-'))
        await using owner = await open({ dir, tiers: { ssd: false }, memory: '16mb' })
        await using reader = await attach({ dir })
        await failure('ERR_RAMCACHE_UNAVAILABLE', () => reader.createReadStream('k'))
        await write(owner.namespace('n'), 'k', many)
        const other = reader.namespace('n')
        expect((await read(other, 'k')).equals(many)).toBe(true)
        expect((await read(other, 'k', { start: chunk })).equals(many.subarray(chunk))).toBe(true)
        expect(await other.getEntry('k')).toMatchObject({ size: many.length, isBlob: true })
        for await (const entry of other.scan())
          expect(entry).toMatchObject({ size: many.length, isBlob: true })
        const stream = await other.createReadStream('k')
        await firstPiece(stream)
        await owner.namespace('n').delete('k')
        await sweepBlobs(owner)
        expect((await buffer(stream)).length).toBe(many.length - chunk)
        rmSync(dir, { recursive: true, force: true })
      })
    })

    describe('a writer', () => {
      it('leaves nothing but its chunks and their record', async () => {
        await write(cache, 'k', many)
        const { id } = manifestOf('k')
        const chunks = Array.from({ length: 6 }, (_, number) => `${id}/${number}`)
        expect(blobKeys(cache)).toEqual([id, ...chunks, 'page/0'].sort())
        await write(cache, 'empty', Buffer.alloc(0))
        expect(blobKeys(cache)).toHaveLength(8)
      })

      const breaks: Record<string, (stream: Writable, aborter: AbortController) => void> = {
        destroyed: (stream) => stream.destroy(),
        'destroyed with an error': (stream) => stream.destroy(new Error('no more')),
        aborted: (_stream, aborter) => aborter.abort(),
      }
      for (const [name, stop] of Object.entries(breaks)) {
        it.each([1, chunk, 3 * chunk + 5, 100 * chunk])(
          `that is ${name} after %i bytes leaves nothing behind`,
          async (length) => {
            await cache.set('k', 'before')
            const aborter = new AbortController()
            const stream = cache.createWriteStream('k', { signal: aborter.signal })
            stream.on('error', () => {})
            const written = new Promise((resolve) => stream.write(Buffer.alloc(length), resolve))
            // The longest one is broken off in the middle of its piece.
            if (length < 100 * chunk) await written
            const closed = new Promise((resolve) => stream.once('close', resolve))
            stop(stream, aborter)
            await closed
            expect(blobKeys(cache)).toEqual([])
            expect(await cache.get('k')).toBe('before')
            expect(await sweepTwice()).toBe(0)
          },
        )
      }

      it('in a pipeline that fails leaves nothing behind', async () => {
        async function* source() {
          yield many
          throw new Error('the line went dead')
        }
        await expect(pipeline(source(), cache.createWriteStream('k'))).rejects.toThrow('the line went dead')
        expect(blobKeys(cache)).toEqual([])
        expect(await cache.has('k')).toBe(false)
      })

      it('that is open when the cache closes leaves nothing behind', async () => {
        const dir = mkdtempSync(join(tmpdir(), 'ramcache-'))
        await using other = await open({ dir, tiers: { ssd: false }, memory: '16mb' })
        const closing = await open({ dir, tiers: { ssd: false }, memory: '16mb' })
        await write(closing, 'k', many)
        const reader = await closing.createReadStream('k')
        const silent = await closing.createReadStream('k')
        await firstPiece(reader)
        const writer = closing.createWriteStream('k')
        await new Promise((resolve) => writer.write(Buffer.alloc(100 * chunk), resolve))
        const errors = [once(reader, 'error'), once(writer, 'error')]
        await closing.close()
        for (const error of errors) expect((await error)[0]).toMatchObject({ code: 'ERR_RAMCACHE_CLOSED' })
        expect(silent.destroyed).toBe(true)
        // Of the finished blob, as far as it was not evicted; nothing of the other one.
        expect(blobKeys(other).filter((key) => /^[0-9a-f]{32}\+?$/.test(key)).length).toBeLessThanOrEqual(1)
        rmSync(dir, { recursive: true, force: true })
      })

      it('that stood still for longer than its lease publishes nothing', async () => {
        const stream = cache.createWriteStream('k')
        await new Promise((resolve) => stream.write(many, resolve))
        placement.advance(leaseMs)
        expect(await sweepTwice()).toBe(1)
        const failed = once(stream, 'error')
        stream.end()
        expect((await failed)[0]).toMatchObject({ code: 'ERR_RAMCACHE_UNAVAILABLE' })
        if (!stream.closed) await once(stream, 'close')
        expect(await cache.has('k')).toBe(false)
        expect(await sweepTwice()).toBe(0)
        expect(blobKeys(cache)).toEqual([])
      })

      it('and another one of the same key both finish; the last one counts', async () => {
        const streams = [cache.createWriteStream('k'), cache.createWriteStream('k')]
        for (const [index, stream] of streams.entries()) stream.write(patternOf(2 * chunk, index))
        for (const [index, stream] of streams.entries()) stream.end(patternOf(chunk, index + 10))
        await Promise.all(streams.map((stream) => once(stream, 'close')))
        const found = await read(cache, 'k')
        // Whichever that was: they finish side by side.
        const whole = [0, 1].map((n) => Buffer.concat([patternOf(2 * chunk, n), patternOf(chunk, n + 10)]))
        expect(whole.some((bytes) => found.equals(bytes))).toBe(true)
        expect(await sweepTwice()).toBe(1)
        expect(blobKeys(cache)).toHaveLength(5)
      })

      it('takes from files and gives to files', async () => {
        const dir = mkdtempSync(join(tmpdir(), 'ramcache-'))
        const [from, to] = [join(dir, 'from'), join(dir, 'to')]
        writeFileSync(from, many)
        await pipeline(createReadStream(from), cache.createWriteStream('k'))
        await pipeline(await cache.createReadStream('k'), createWriteStream(to))
        expect(readFileSync(to).equals(many)).toBe(true)
        rmSync(dir, { recursive: true, force: true })
      })
    })

    describe('the sweep', () => {
      it('leaves what a manifest leads to, however often it comes', async () => {
        const keys = Array.from({ length: 150 }, (_, index) => `k${index}`)
        for (const key of keys) await write(cache, key, patternOf(100, key.length))
        for (let round = 0; round < 4; round++) expect(await sweepTwice()).toBe(0)
        for (const key of keys) expect((await read(cache, key)).equals(patternOf(100, key.length))).toBe(true)
        for (const key of keys.slice(0, 100)) await cache.delete(key)
        expect(await sweepTwice()).toBe(100)
        for (const key of keys.slice(100)) expect(await read(cache, key)).toHaveLength(100)
        for (const key of keys) await cache.delete(key)
        expect(await sweepTwice()).toBe(50)
        expect(blobKeys(cache)).toEqual([])
      })

      it('takes nothing the first time, and comes once in its interval', async () => {
        await write(cache, 'k', many)
        await cache.delete('k')
        expect(await sweepBlobs(cache)).toBe(0)
        for (let again = 0; again < 3; again++) expect(await sweepBlobs(cache)).toBe(0)
        expect(blobKeys(cache)).toHaveLength(8)
        placement.advance(sweepEveryMs)
        expect(await sweepBlobs(cache)).toBe(1)
        expect(blobKeys(cache)).toEqual([])
      })

      it('takes what a writer that is gone has left, when its lease has ended', async () => {
        // As a killed process would leave it: no stream, no renewal, a lease that still stands.
        const stream = cache.createWriteStream('k')
        await new Promise((resolve) => stream.write(many, resolve))
        expect(await sweepTwice()).toBe(0)
        placement.advance(leaseMs)
        expect(await sweepTwice()).toBe(1)
        expect(blobKeys(cache)).toEqual([])
        stream.on('error', () => {}).destroy()
      })

      it('does not use what it looks at', async () => {
        await write(cache, 'k', many, { idle: 20_000 })
        const before = await cache.stats()
        expect(await sweepTwice()).toBe(0)
        expect(await cache.has('k')).toBe(false)
        const after = await cache.stats()
        expect([after.hits, after.misses]).toEqual([before.hits, before.misses + 1])
      })

      it('is not stopped by a value it cannot read', async () => {
        await write(cache, 'k', many)
        damage('k', { chunkCount: 9 })
        expect(await sweepTwice()).toBe(1)
        expect(blobKeys(cache)).toEqual([])
      })
    })

    describe('a manifest that is damaged', () => {
      it.each<[string, object]>([
        ['promises more bytes', { totalBytes: many.length + chunk }],
        ['promises more bytes than there are numbers', { totalBytes: 2 ** 60 }],
        ['has no chunk size', { chunkBytes: 0 }],
        ['has giant chunks', { chunkBytes: 2 ** 31, chunkCount: 1 }],
        ['has other chunks', { chunkCount: 7 }],
      ])('is refused when it %s', async (_, change) => {
        await write(cache, 'k', many)
        damage('k', change)
        await failure('ERR_RAMCACHE_CORRUPT', () => cache.createReadStream('k'))
        await failure('ERR_RAMCACHE_CORRUPT', () => cache.getEntry('k'))
        expect(await cache.has('k')).toBe(true)
        expect(await cache.delete('k')).toBe(true)
      })
    })

    function spaceOf(): Space {
      return engineOf(cache).space('default') as Space
    }

    function manifestOf(key: string): Manifest {
      return spaceOf().peek(key)?.value as Manifest
    }

    /** Stores a manifest that no writer would. */
    function damage(key: string, change: object): void {
      const { id, totalBytes, chunkBytes, chunkCount } = manifestOf(key)
      spaceOf().setManifest(key, { id, totalBytes, chunkBytes, chunkCount, ...change } as Manifest)
    }
  })
}
