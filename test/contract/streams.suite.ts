import { once } from 'node:events'
import { PassThrough, Readable, type Writable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Cache, OpenOptions } from '../../src/index.ts'
import { patternOf } from '../support/blobs.ts'
import { failure } from '../support/errors.ts'
import type { Subject } from './cache.suite.ts'

/** Of a store of so much memory. */
export const chunkBytesUsual = 64 * 1024
const memoryUsual = '8mb'

export async function write(cache: Cache, key: string, bytes: Buffer, options?: object): Promise<void> {
  await end(cache.createWriteStream(key, options), bytes)
}

async function end(stream: Writable, bytes: Buffer): Promise<void> {
  const finished = once(stream, 'close')
  stream.end(bytes)
  await finished
}

export async function read(cache: Pick<Cache, 'createReadStream'>, key: string, options?: object) {
  return buffer(await cache.createReadStream(key, options))
}

export function streamContract(
  subject: Subject,
  chunkBytes = chunkBytesUsual,
  memory: OpenOptions['memory'] = memoryUsual,
): void {
  it.each([0, 1, chunkBytes - 1, chunkBytes, chunkBytes + 1, 7 * chunkBytes + 12_345])(
    'gives %i bytes back as they were written',
    async (length) => {
      const { cache } = subject
      const bytes = patternOf(length)
      await write(cache, 'k', bytes)
      expect((await read(cache, 'k')).equals(bytes)).toBe(true)
      expect(await cache.has('k')).toBe(true)
      expect(await cache.getEntry('k')).toMatchObject({ value: undefined, size: length, isBlob: true })
      const entries = []
      for await (const entry of cache.scan()) entries.push(entry)
      expect(entries).toMatchObject([{ key: 'k', size: length, isBlob: true }])
    },
  )

  it('cuts pieces of any size into chunks', async () => {
    const { cache } = subject
    const bytes = patternOf(3 * chunkBytes + 77)
    for (const pieceBytes of [1013, chunkBytes - 1, chunkBytes + 1, 2 * chunkBytes]) {
      const pieces = []
      for (let at = 0; at < bytes.length; at += pieceBytes) pieces.push(bytes.subarray(at, at + pieceBytes))
      await pipeline(Readable.from(pieces), cache.createWriteStream('k'))
      expect((await read(cache, 'k')).equals(bytes)).toBe(true)
    }
    await pipeline(Readable.from(['text, ', 'and moré']), cache.createWriteStream('k'))
    expect((await read(cache, 'k')).toString()).toBe('text, and moré')
  })

  it('reads any range', async () => {
    const { cache } = subject
    const bytes = patternOf(3 * chunkBytes + 1000)
    await write(cache, 'k', bytes)
    const position = fc.oneof(
      fc.integer({ min: 0, max: bytes.length - 1 }),
      fc
        .tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: -1, max: 1 }))
        .map(([chunk, beside]) => Math.max(0, chunk * chunkBytes + beside)),
    )
    await fc.assert(
      fc.asyncProperty(position, position, async (one, other) => {
        const [start, last] = [Math.min(one, other), Math.max(one, other)]
        const found = await read(cache, 'k', { start, end: last })
        return found.equals(bytes.subarray(start, last + 1))
      }),
      { numRuns: 200 },
    )
    expect((await read(cache, 'k', { start: chunkBytes })).equals(bytes.subarray(chunkBytes))).toBe(true)
    expect((await read(cache, 'k', { end: 9 })).equals(bytes.subarray(0, 10))).toBe(true)
    expect(await read(cache, 'k', { start: bytes.length - 1, end: Number.POSITIVE_INFINITY })).toHaveLength(1)
    expect(await read(cache, 'k', { end: bytes.length + 5 })).toHaveLength(bytes.length)
  })

  it('refuses ranges that are none', async () => {
    const { cache } = subject
    await write(cache, 'k', Buffer.from('0123456789'))
    for (const range of [
      { start: 10 },
      { start: 5, end: 4 },
      { start: -1 },
      { end: -1 },
      { start: 0.5 },
      { start: '1' },
      { start: Number.NaN },
      { begin: 1 },
    ]) {
      await failure('ERR_RAMCACHE_CONFIG', () => cache.createReadStream('k', range as never))
    }
    await write(cache, 'empty', Buffer.alloc(0))
    expect(await read(cache, 'empty', { start: 0, end: 0 })).toHaveLength(0)
    await failure('ERR_RAMCACHE_CONFIG', () => cache.createReadStream('empty', { start: 1 }))
  })

  it('reads only the chunks of the range', async () => {
    const { cache } = await subject.open({ memory })
    const bytes = patternOf(6 * chunkBytes)
    await write(cache, 'k', bytes)
    const stream = await cache.createReadStream('k', { start: chunkBytes + 5, end: 2 * chunkBytes + 5 })
    const lengths: number[] = []
    for await (const piece of stream) lengths.push(piece.length)
    expect(lengths).toEqual([chunkBytes - 5, 6])
  })

  it('rejects for a key that is not there, and for values without bytes', async () => {
    const { cache } = subject
    await failure('ERR_RAMCACHE_UNAVAILABLE', () => cache.createReadStream('none'))
    await cache.set('object', { a: 1 })
    await failure('ERR_RAMCACHE_VALUE', () => cache.createReadStream('object'))
    await failure('ERR_RAMCACHE_KEY', () => cache.createReadStream(''))
    await failure('ERR_RAMCACHE_KEY', () => cache.createWriteStream(''))
    await failure('ERR_RAMCACHE_CONFIG', () => cache.createWriteStream('k', { tll: 1 } as never))
    await failure('ERR_RAMCACHE_CONFIG', () => cache.createWriteStream('k', { ifAbsent: true } as never))
  })

  it('streams what set() stored, if it is bytes or text', async () => {
    const { cache } = subject
    await cache.set('bytes', Buffer.from('0123456789'))
    await cache.set('array', Uint8Array.from([1, 2, 3]))
    await cache.set('text', 'é')
    await cache.set('empty', '')
    expect((await read(cache, 'bytes', { start: 2, end: 4 })).toString()).toBe('234')
    expect([...(await read(cache, 'array'))]).toEqual([1, 2, 3])
    expect((await read(cache, 'text')).toString()).toBe('é')
    expect(await read(cache, 'empty')).toHaveLength(0)
  })

  it('is a value like others, except that no method returns it', async () => {
    const { cache } = subject
    await write(cache, 'k', Buffer.from('abc'), { ttl: '1h', tags: ['t'] })
    expect(await cache.getEntry('k')).toMatchObject({ tags: ['t'], size: 3 })
    for (const attempt of [
      () => cache.get('k'),
      () => subject.getNow('k'),
      () => cache.getMany(['k']),
      () => cache.pull('k'),
    ]) {
      expect((await failure('ERR_RAMCACHE_VALUE', attempt)).message).toContain('createReadStream')
    }
    await failure('ERR_RAMCACHE_NOT_INTEGER', () => cache.incr('k'))
    expect(await cache.cas('k', Buffer.from('abc'), 1)).toBe(false)
    expect(await cache.add('k', 1)).toBe(false)
    expect(await cache.touch('k', '2h')).toBe(true)
    await subject.advance(3_700_000)
    expect((await read(cache, 'k')).toString()).toBe('abc')
    await subject.advance(3_600_000)
    expect(await cache.has('k')).toBe(false)
    await failure('ERR_RAMCACHE_UNAVAILABLE', () => cache.createReadStream('k'))
    await write(cache, 'k', Buffer.from('abc'))
    const version = (await cache.getEntry('k'))?.version as string
    expect(await cache.set('k', 1, { ifVersion: version })).toBeDefined()
    expect(await cache.get('k')).toBe(1)
    await write(cache, 'k', Buffer.from('abc'))
    expect(await cache.delete('k')).toBe(true)
    expect(await cache.has('k')).toBe(false)
  })

  it('has its idle time extended by streams alone', async () => {
    const { cache } = subject
    await write(cache, 'k', Buffer.from('abc'), { idle: 1000 })
    for (let round = 0; round < 5; round++) {
      await subject.advance(700)
      expect((await read(cache, 'k')).toString()).toBe('abc')
    }
    await subject.advance(500)
    for await (const entry of cache.scan()) expect(entry.size).toBe(3)
    await subject.advance(500)
    expect(await cache.has('k')).toBe(false)
  })

  it('keeps namespaces apart', async () => {
    const { cache } = await subject.open({ memory })
    const spaces = [cache, cache.namespace('a'), cache.namespace('a').namespace('b')]
    for (const [index, space] of spaces.entries()) {
      await write(space, 'k', patternOf(chunkBytes + index, index + 1))
    }
    for (const [index, space] of spaces.entries()) {
      expect((await read(space, 'k')).equals(patternOf(chunkBytes + index, index + 1))).toBe(true)
      const keys = []
      for await (const { key } of space.scan()) keys.push(key)
      expect(keys).toEqual(['k'])
    }
    await cache.namespace('a').clear()
    await failure('ERR_RAMCACHE_UNAVAILABLE', () => cache.namespace('a').createReadStream('k'))
    expect(await read(cache, 'k')).toHaveLength(chunkBytes)
    const stats = await cache.stats()
    expect(Object.keys(stats.namespaces).sort()).toEqual(['a', 'a/b', 'default'])
    expect(stats.tiers.ram.entries).toBe(2)
  })

  it('takes the time to live of its namespace', async () => {
    const { cache, advance } = await subject.open({ namespaces: { default: { ttl: '1s' } } })
    await write(cache, 'k', Buffer.from('abc'))
    await advance(999)
    expect((await read(cache, 'k')).toString()).toBe('abc')
    await advance(1)
    expect(await cache.has('k')).toBe(false)
  })

  it('appears at once, when it is finished', async () => {
    const { cache } = subject
    await cache.set('k', 'before')
    const stream = cache.createWriteStream('k')
    const bytes = patternOf(3 * chunkBytes)
    for (let at = 0; at < bytes.length; at += chunkBytes) {
      if (!stream.write(bytes.subarray(at, at + chunkBytes))) await once(stream, 'drain')
      expect(await cache.get('k')).toBe('before')
    }
    stream.end()
    await once(stream, 'finish')
    expect((await read(cache, 'k')).equals(bytes)).toBe(true)
  })

  it('holds a fast writer and a fast reader back', async () => {
    const { cache } = await subject.open({ memory })
    const stream = cache.createWriteStream('k')
    expect(stream.writableHighWaterMark).toBe(chunkBytes)
    stream.cork()
    expect(stream.write(Buffer.alloc(chunkBytes))).toBe(false)
    stream.uncork()
    stream.end(patternOf(9 * chunkBytes))
    await once(stream, 'finish')
    const reader = await cache.createReadStream('k')
    const slow = new PassThrough({ highWaterMark: 1 })
    reader.pipe(slow)
    let total = 0
    for await (const piece of slow) {
      expect(reader.readableLength).toBeLessThanOrEqual(2 * chunkBytes)
      expect(slow.readableLength).toBeLessThanOrEqual(chunkBytes)
      total += piece.length
    }
    expect(total).toBe(10 * chunkBytes)
  })

  it('takes a piece that is longer than many chunks', async () => {
    const { cache } = subject
    const bytes = patternOf(40 * chunkBytes + 3)
    await write(cache, 'k', bytes)
    expect((await read(cache, 'k')).equals(bytes)).toBe(true)
  })
}
