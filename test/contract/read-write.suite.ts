import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { expect, it } from 'vitest'
import { failure } from '../support/errors.ts'
import type { Subject } from './cache.suite.ts'

const values: readonly (readonly [string, unknown])[] = [
  ['an empty string', ''],
  ['a string', 'text'],
  ['digits', '007'],
  ['a string beyond ASCII', 'naïve 漢字 👋🏽'],
  ['a string with zero characters', 'a\0b'],
  ['a long string', 'x'.repeat(300_000)],
  ['a long string beyond ASCII', '漢'.repeat(100_000)],
  ['zero', 0],
  ['minus zero', -0],
  ['a fraction', 0.1],
  ['a large number', 2 ** 60],
  ['NaN', Number.NaN],
  ['infinity', Number.NEGATIVE_INFINITY],
  ['true', true],
  ['false', false],
  ['null', null],
  ['a bigint', 12_345_678_901_234_567_890n],
  ['a negative bigint', -1n],
  ['a Buffer', Buffer.from([0, 1, 255])],
  ['an empty Buffer', Buffer.alloc(0)],
  ['a large Buffer', Buffer.alloc(300_000, 7)],
  ['a Uint8Array', Uint8Array.of(1, 2, 3)],
  ['floats', Float64Array.of(1.5, -0, Number.NaN)],
  ['a large typed array', new Uint32Array(50_000).fill(9)],
  ['an ArrayBuffer', new ArrayBuffer(3)],
  ['a DataView', new DataView(new ArrayBuffer(4))],
  ['a Date', new Date(1_700_000_000_123)],
  ['an array', [1, 'two', [3], null]],
  ['an empty array', []],
  ['an object', { id: 1, name: 'n', nested: { list: [{ a: 1 }, { a: 2 }] } }],
  ['an empty object', {}],
  ['an object without prototype', Object.assign(Object.create(null), { a: 1 })],
  [
    'an object of everything',
    { d: new Date(0), m: new Map([[{ k: 1 }, 1n]]), s: new Set(['x']), b: Buffer.from('b') },
  ],
  ['a Map', new Map<unknown, unknown>([['a', 1], [2, { b: 3 }]])], // biome-ignore format: one line
  ['a Set', new Set([1, 'a', null])],
  ['a large object', { rows: Array.from({ length: 3000 }, (_, id) => ({ id, name: `row ${id}` })) }],
]

const keys: readonly (readonly [string, string | Uint8Array])[] = [
  ['one letter', 'k'],
  ['spaces and signs', ' a\n{"b"}*?[c]\\'],
  ['characters beyond ASCII', 'clé:漢:👋'],
  ['a zero character', 'a\0b'],
  ['4,096 bytes', 'x'.repeat(4096)],
  ['4,095 bytes in wide characters', '漢'.repeat(1365)],
  ['bytes that are no UTF-8', Buffer.from([0xff, 0xfe, 0])],
  ['a name of Object.prototype', '__proto__'],
]

/** Strictly equal, classes and -0 included. `toStrictEqual` takes seconds for large Buffers. */
function expectSame(actual: unknown, expected: unknown): void {
  if (!isDeepStrictEqual(actual, expected)) expect(actual).toStrictEqual(expected)
  expect(isDeepStrictEqual(actual, expected)).toBe(true)
}

export function readWriteContract(subject: Subject): void {
  it.each(values)('gives back %s as it was', async (_, value) => {
    const { cache } = subject
    // Several times, so that shapes are shared and replaced values are seen.
    for (let round = 0; round < 3; round++) {
      expect(await cache.set('k', value)).toEqual({ version: expect.any(String) })
      expectSame(await subject.getNow('k'), value)
    }
    expectSame(await cache.get('k'), value)
    expectSame((await cache.getEntry('k'))?.value, value)
    expectSame((await cache.getMany(['k'])).get('k'), value)
    expectSame(await cache.pull('k'), value)
  })

  it.each(keys)('takes as a key: %s', async (_, key) => {
    const { cache } = subject
    await cache.set(key, 1)
    expect(await cache.get(key)).toBe(1)
    // A string and its bytes are the same key.
    const other = typeof key === 'string' ? Buffer.from(key) : Buffer.concat([key])
    expect(await cache.has(other)).toBe(true)
    expect(await cache.delete(other)).toBe(true)
    expect(await cache.get(key)).toBe(undefined)
  })

  it('gives a fresh copy each time', async () => {
    const { cache } = subject
    const value = { list: [1], bytes: Buffer.from('abc') }
    await cache.set('k', value)
    value.list.push(2)
    const read = (await cache.get<typeof value>('k')) as typeof value
    expect(read.list).toEqual([1])
    read.list.push(3)
    read.bytes.fill(0)
    expect(await cache.get('k')).toEqual({ list: [1], bytes: Buffer.from('abc') })
    await cache.set('b', Buffer.from('abc'))
    ;(await subject.getNow<Buffer>('b'))?.fill(0)
    await cache.set('c', Buffer.from('xyz'))
    expect(await subject.getNow('b')).toEqual(Buffer.from('abc'))
  })

  it('keeps values read earlier when others are read later', async () => {
    const { cache } = subject
    for (let n = 0; n < 50; n++)
      await cache.set(`k${n}`, { n, text: `text ${n}`, bytes: Buffer.alloc(20, n) })
    const read: unknown[] = []
    for (let n = 0; n < 50; n++) read.push(await subject.getNow(`k${n}`))
    for (const [n, value] of read.entries()) {
      expect(value).toEqual({ n, text: `text ${n}`, bytes: Buffer.alloc(20, n) })
    }
  })

  it('tells a miss from a stored null', async () => {
    const { cache } = subject
    expect(await cache.get('k')).toBe(undefined)
    expect(cache.getSync('k')).toBe(undefined)
    expect(await cache.getEntry('k')).toBe(undefined)
    expect(await cache.has('k')).toBe(false)
    await cache.set('k', null)
    expect(await cache.get('k')).toBe(null)
    expect(await subject.getNow('k')).toBe(null)
    expect(await cache.has('k')).toBe(true)
  })

  it('deletes once', async () => {
    const { cache } = subject
    expect(await cache.delete('k')).toBe(false)
    await cache.set('k', 1)
    expect(await cache.delete('k')).toBe(true)
    expect(await cache.delete('k')).toBe(false)
    expect(await cache.has('k')).toBe(false)
  })

  it('describes an entry', async () => {
    const { cache } = subject
    const written = await cache.set('key', 'value', { ttl: 5000, tags: ['a', 'é'] })
    const entry = await cache.getEntry('key')
    expect(entry).toEqual({
      key: 'key',
      value: 'value',
      version: written?.version,
      size: 8,
      createdAt: expect.any(Number),
      expiresAt: expect.any(Number),
      tags: ['a', 'é'],
      tier: 'ram',
    })
    expect((entry?.expiresAt as number) - (entry?.createdAt as number)).toBe(5000)
    await cache.set('key', 'value')
    expect(await cache.getEntry('key')).toMatchObject({ expiresAt: undefined, tags: [] })
  })

  it('makes a larger version with every write of a key, deletes in between or not', async () => {
    const { cache } = subject
    const versions: string[] = []
    for (let round = 0; round < 50; round++) {
      versions.push((await cache.set('k', round))?.version as string)
      if (round % 3 === 0) await cache.delete('k')
      if (round % 5 === 0) await cache.clear()
    }
    expect([...versions].sort()).toEqual(versions)
    expect(new Set(versions).size).toBe(50)
  })

  it('sets under a condition', async () => {
    const { cache } = subject
    expect(await cache.set('k', 1, { ifPresent: true })).toBe(undefined)
    expect(await cache.has('k')).toBe(false)
    const first = await cache.set('k', 1, { ifAbsent: true })
    expect(first).toBeDefined()
    expect(await cache.set('k', 2, { ifAbsent: true })).toBe(undefined)
    expect(await cache.get('k')).toBe(1)
    const second = await cache.set('k', 2, { ifVersion: first?.version as string })
    expect(second).toBeDefined()
    expect(await cache.set('k', 3, { ifVersion: first?.version as string })).toBe(undefined)
    expect(await cache.set('k', 3, { ifVersion: second?.version as string, ifPresent: true })).toBeDefined()
    expect(await cache.set('k', 4, { ifPresent: true })).toBeDefined()
    expect(await cache.get('k')).toBe(4)
    await cache.delete('k')
    expect(await cache.set('k', 5, { ifVersion: second?.version as string })).toBe(undefined)
    expect(await cache.set('k', 5, { ifAbsent: false, ifPresent: false })).toBeDefined()
  })

  it('adds what is not there', async () => {
    const { cache } = subject
    expect(await cache.add('k', 1)).toBe(true)
    expect(await cache.add('k', 2, { ttl: '1s' })).toBe(false)
    expect(await cache.getEntry('k')).toMatchObject({ value: 1, expiresAt: undefined })
  })

  it('pulls exactly once', async () => {
    const { cache } = subject
    await cache.set('k', { a: 1 })
    const pulled = await Promise.all([cache.pull('k'), cache.pull('k'), cache.pull('k')])
    expect(pulled.filter((value) => value !== undefined)).toEqual([{ a: 1 }])
    expect(await cache.has('k')).toBe(false)
    await cache.set('k', null)
    expect(await cache.pull('k')).toBe(null)
    expect(await cache.pull('k')).toBe(undefined)
  })

  it('compares and sets, deeply', async () => {
    const { cache } = subject
    expect(await cache.cas('k', { a: [1] }, 'new')).toBe(false)
    expect(await cache.cas('k', undefined, { a: [1] })).toBe(true)
    expect(await cache.cas('k', undefined, 'new')).toBe(false)
    expect(await cache.cas('k', { a: ['1'] }, 'new')).toBe(false)
    expect(await cache.cas('k', { a: [1] }, new Map([[1, 2n]]), { ttl: 1000 })).toBe(true)
    expect(await cache.getEntry('k')).toMatchObject({ expiresAt: expect.any(Number) })
    expect(await cache.cas('k', new Map([[1, 2n]]), 0)).toBe(true)
    expect(await cache.cas('k', -0, 1)).toBe(false)
    expect(await cache.get('k')).toBe(0)
  })

  it('reports a conflict when the entry changes at each attempt', async () => {
    const { cache } = subject
    const meddling = {
      get value() {
        void cache.set('k', 1)
        return 2
      },
    }
    await cache.set('k', 1)
    await failure('ERR_RAMCACHE_CONFLICT', () => cache.cas('k', 1, meddling))
    expect(await cache.get('k')).toBe(1)
  })

  it('counts what is read and written', async () => {
    // That nobody has used.
    const { cache, dir } = await subject.open({ memory: '8mb' })
    await cache.set('k', 'value')
    await cache.get('k')
    await subject.getNow('k', cache)
    await cache.get('none')
    await cache.delete('k')
    // Otherwise a part of it is not durable yet, where there is a disk.
    await cache.flush()
    const stats = await cache.stats()
    const { pid } = JSON.parse(readFileSync(join(dir, 'owner'), 'utf8'))
    expect(stats).toMatchObject({
      version: expect.any(String),
      uptimeSeconds: expect.any(Number),
      owner: { pid, mode: 'embedded' },
      hits: 2,
      misses: 1,
      sets: 1,
      deletes: 1,
      tiers: {
        ram: { entries: 0, bytes: 0, budgetBytes: 8 * 1024 ** 2 },
        ssd: { entries: 0 },
        hdd: { entries: 0 },
      },
      namespaces: { default: { entries: 0, hits: 2, misses: 1 } },
      durability: { dirtyBytes: 0, flushLagMs: 0, poisoned: false, replayedBytes: 0 },
      peers: [],
    })
    expect(stats.hitRate).toBeCloseTo(2 / 3)
    expect(stats.tiers.ram.overheadBytes).toBeGreaterThan(0)
  })

  it('evicts instead of refusing, and never grows beyond its budget', async () => {
    const { cache } = subject
    for (let n = 0; n < 3000; n++) await cache.set(`k${n}`, Buffer.alloc(10_000, n))
    const { tiers } = await cache.stats()
    expect(tiers.ram.evictions).toBeGreaterThan(0)
    expect(tiers.ram.bytes).toBeLessThanOrEqual(tiers.ram.budgetBytes)
    expect(await cache.get('k2999')).toEqual(Buffer.alloc(10_000, 2999))
  })
}
