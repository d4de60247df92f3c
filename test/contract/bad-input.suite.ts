import { expect, it } from 'vitest'
import type { ErrorCode } from '../../src/index.ts'
import { failure } from '../support/errors.ts'
import type { Kind, Subject } from './cache.suite.ts'

/** Input, and what the message must hold: the value and the limit. */
type Case = readonly [string, unknown, ...string[]]

const badKeys: readonly Case[] = [
  ['nothing', undefined, 'undefined'],
  ['null', null, 'null'],
  ['a number', 5, '5'],
  ['an object', {}, 'an object'],
  ['an array', ['k'], 'an array of 1'],
  ['a symbol', Symbol('k'), 'Symbol(k)'],
  ['other typed arrays', new Uint16Array(2), 'a Uint16Array'],
  ['an empty string', '', 'empty'],
  ['no bytes', Buffer.alloc(0), 'empty'],
  ['4,097 bytes', 'x'.repeat(4097), '4097 bytes', '4096 bytes'],
  ['too many bytes in few characters', '漢'.repeat(1366), '4098 bytes', '4096 bytes'],
  ['a Buffer that is too long', Buffer.alloc(70_000, 1), '70000 bytes', '4096 bytes'],
  ['a string that is far too long', 'x'.repeat(1_000_000), '1000000 bytes', '4096 bytes'],
  ['half a surrogate pair', 'a\ud800', 'surrogate'],
]

const badOptions: readonly Case[] = [
  ['a number for options', 5, 'not 5'],
  ['null for options', null, 'not null'],
  ['an unknown option', { tll: 5 }, '"tll"', 'did you mean ttl?'],
  ['a time of 0', { ttl: 0 }, 'ttl', 'is 0', 'minimum of 1 ms'],
  ['a negative time', { ttl: -1 }, 'is -1', 'minimum of 1 ms'],
  ['more than ten years', { ttl: '3651d' }, '"3651d"', 'maximum of 315360000000 ms'],
  ['an endless time', { ttl: Number.POSITIVE_INFINITY }, 'Infinity'],
  ['no number', { ttl: Number.NaN }, 'NaN'],
  ['a fraction of a millisecond', { ttl: 0.5 }, '0.5'],
  ['a time without unit', { ttl: '10' }, '"10"', 'ms, s, m, h or d'],
  ['a bad idle time', { idle: '1 hour' }, 'idle', '"1 hour"'],
  ['a tag that is no string', { tags: [5] }, 'not 5', '255 bytes'],
  ['a tag that is too long', { tags: ['x'.repeat(300)] }, '255 bytes'],
  ['too many tags', { tags: Array.from({ length: 600 }, (_, n) => `t${n}`) }, '600', '1024'],
  ['a signal that is none', { signal: 'stop' }, 'signal', '"stop"'],
  ['unknown durability', { durability: 'disk' }, '"disk"'],
  ['acknowledgement of later versions', { ack: { peers: 2 } }, 'peers', 'not supported by this version'],
]

/** Of a store without a disk. */
const badInRam: readonly Case[] = [
  ['durability that needs a disk', { durability: 'sync' }, '"sync"', 'ssd: false'],
]

const badConditions: readonly Case[] = [
  ['absent and present', { ifAbsent: true, ifPresent: true }, 'ifAbsent', 'ifPresent'],
  ['absent and a version', { ifAbsent: true, ifVersion: 'v' }, 'ifAbsent', 'ifVersion'],
  ['a version that is none', { ifVersion: 'latest' }, 'latest'],
  ['a version that is a number', { ifVersion: 7 }, 'not 7'],
  ['a condition that is no boolean', { ifAbsent: 'yes' }, '"yes"'],
]

class User {
  name = 'n'
}

const badValues: readonly Case[] = [
  ['undefined', undefined, 'value is undefined'],
  ['a function', () => 1, 'value is'],
  ['a symbol', Symbol('v'), 'Symbol(v)'],
  ['undefined inside', { a: { b: undefined } }, 'value.a.b'],
  ['a method inside', { user: { roles: [1, 2, { fn() {} }] } }, 'value.user.roles[2].fn'],
  ['a class instance', [new User()], 'value[0]', 'a User'],
  ['half a surrogate pair', '\udc00', 'surrogate'],
  ['half a surrogate pair inside', { a: ['\udc00'] }, 'value.a[0]', 'surrogate'],
  ['more than 64 MiB of bytes', Buffer.allocUnsafe(64 * 1024 ** 2 + 1), '67108865', '67108864'],
  ['more than 64 MiB of text', 'x'.repeat(64 * 1024 ** 2 + 1), '67108865', 'bytes'],
]

export function badInputContract(subject: Subject, { hasDisk }: Kind): void {
  /** Runs what must fail, and sees that it changed nothing. */
  async function refused(code: ErrorCode, run: () => unknown, parts: readonly unknown[]): Promise<void> {
    const { cache } = subject
    const before = await cache.getEntry('k')
    const error = await failure(code, run)
    for (const part of parts) expect(error.message).toContain(part as string)
    expect(await cache.getEntry('k')).toEqual(before)
    const keys: string[] = []
    for await (const { key } of cache.scan()) keys.push(key)
    expect(keys).toEqual(['k'])
  }

  it.each(badKeys)('no key: %s', async (_, input, ...parts) => {
    const { cache } = subject
    const key = input as string
    await cache.set('k', 1)
    const calls = [
      () => cache.get(key),
      () => cache.getSync(key),
      () => cache.namespace('nobody-has-written').get(key),
      () => cache.getMany(['k', key]),
      () => cache.getEntry(key),
      () => cache.has(key),
      () => cache.set(key, 2),
      () => cache.setMany([['k', 2], [key, 2]]), // biome-ignore format: one line
      () => cache.add(key, 2),
      () => cache.delete(key),
      () => cache.deleteMany(['k', key]),
      () => cache.pull(key),
      () => cache.touch(key, 5),
      () => cache.incr(key, 1, { init: 0 }),
      () => cache.decr(key, 1, { init: 0 }),
      () => cache.cas(key, undefined, 2),
    ]
    for (const call of calls) await refused('ERR_RAMCACHE_KEY', call, parts)
  })

  it.each(hasDisk ? badOptions : [...badOptions, ...badInRam])(
    'no write options: %s',
    async (_, options, ...parts) => {
      const { cache } = subject
      await cache.set('k', 1)
      const calls = [
        () => cache.set('k', 2, options as object),
        () => cache.add('new', 2, options as object),
        () => cache.setMany([['k', 2]], options as object),
        () => cache.cas('k', 1, 2, options as object),
      ]
      for (const call of calls) await refused('ERR_RAMCACHE_CONFIG', call, parts)
    },
  )

  it.each(badConditions)('no condition: %s', async (_, options, ...parts) => {
    const { cache } = subject
    await cache.set('k', 1)
    await refused('ERR_RAMCACHE_CONFIG', () => cache.set('k', 2, options as object), parts)
    for (const call of [
      () => cache.add('k', 2, options as object),
      () => cache.setMany([], options as object),
    ]) {
      await refused('ERR_RAMCACHE_CONFIG', call, ['unknown option'])
    }
  })

  it.each(badValues)('no value: %s', async (_, value, ...parts) => {
    const { cache } = subject
    await cache.set('k', 1)
    const calls = [
      () => cache.set('k', value),
      () => cache.add('new', value),
      () => cache.setMany([['k', 2], ['new', value]]), // biome-ignore format: one line
      () => cache.cas('k', 1, value),
    ]
    for (const call of calls) await refused('ERR_RAMCACHE_VALUE', call, parts)
  })

  it.each<Case>([
    ['an unknown option', { fresh: true }, '"fresh"'],
    ['a signal that is none', { signal: {} }, 'AbortSignal'],
    ['no object', 'k', 'not "k"'],
  ])('no read options: %s', async (_, options, ...parts) => {
    const { cache } = subject
    await cache.set('k', 1)
    const given = options as object
    const calls = [
      () => cache.get('k', given),
      () => cache.getMany(['k'], given),
      () => cache.getEntry('k', given),
      () => cache.has('k', given),
      () => cache.delete('k', given),
      () => cache.deleteMany(['k'], given),
      () => cache.pull('k', given),
      () => cache.touch('k', 5, given),
      () => cache.clear(given),
      () => cache.stats(given),
      () => cache.flush(given),
    ]
    for (const call of calls) await refused('ERR_RAMCACHE_CONFIG', call, parts)
  })

  it('no time to touch with', async () => {
    const { cache } = subject
    await cache.set('k', 1)
    for (const ttl of [0, -1, '5', 1.5, null]) {
      await refused('ERR_RAMCACHE_CONFIG', () => cache.touch('k', ttl as number), ['ttl'])
    }
  })

  it('no counter options', async () => {
    const { cache } = subject
    await cache.set('k', 1)
    for (const options of [{ init: 0.5 }, { init: '1' }, { initial: 1 }, { ttl: 0 }]) {
      await refused('ERR_RAMCACHE_CONFIG', () => cache.incr('k', 1, options as object), [])
    }
  })

  it('no scan options', async () => {
    const { cache } = subject
    await cache.set('k', 1)
    for (const options of [{ pattern: '*' }, { match: 5 }, { limit: 0 }, { tier: 'remote' }, 'k*']) {
      await refused(
        'ERR_RAMCACHE_CONFIG',
        () =>
          cache
            .scan(options as object)
            [Symbol.asyncIterator]()
            .next(),
        [],
      )
    }
  })

  it('no namespace options', async () => {
    const { cache } = subject
    await cache.set('k', 1)
    const inRam = hasDisk ? [] : [{ durability: 'async' }]
    for (const options of [
      { ttl: 0 },
      { tll: 5 },
      { quota: '1kb' },
      { quota: 'much' },
      { durability: 'disk' },
      ...inRam,
      5,
    ]) {
      await refused('ERR_RAMCACHE_CONFIG', () => cache.namespace('other', options as object), [])
    }
  })

  it('a value larger than the store', async () => {
    const { cache } = subject
    await cache.set('k', 1)
    const error = await cache.set('new', Buffer.alloc(20 * 1024 ** 2)).catch((caught) => caught)
    expect(['ERR_RAMCACHE_VALUE', 'ERR_RAMCACHE_FULL']).toContain(error.code)
    expect(error.message).toMatch(/20971520|20 MiB|\d{8}/)
    expect(await cache.has('new')).toBe(false)
    expect(await cache.get('k')).toBe(1)
  })
}
