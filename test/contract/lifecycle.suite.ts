import { expect, it } from 'vitest'
import type { Cache } from '../../src/index.ts'
import { failure } from '../support/errors.ts'
import type { Subject } from './cache.suite.ts'

/** Every method, by a call that would work on an open cache. */
export const calls: Readonly<Record<string, (cache: Cache, options?: { signal: AbortSignal }) => unknown>> = {
  get: (cache, options) => cache.get('k', options),
  getSync: (cache) => cache.getSync('k'),
  getMany: (cache, options) => cache.getMany(['k'], options),
  getEntry: (cache, options) => cache.getEntry('k', options),
  has: (cache, options) => cache.has('k', options),
  scan: async (cache, options) => {
    for await (const _ of cache.scan(options)) break
  },
  set: (cache, options) => cache.set('k', 2, options),
  setMany: (cache, options) => cache.setMany([['k', 2]], options),
  add: (cache, options) => cache.add('new', 2, options),
  delete: (cache, options) => cache.delete('k', options),
  deleteMany: (cache, options) => cache.deleteMany(['k'], options),
  pull: (cache, options) => cache.pull('k', options),
  touch: (cache, options) => cache.touch('k', 5, options),
  incr: (cache, options) => cache.incr('k', 1, options),
  decr: (cache, options) => cache.decr('k', 1, options),
  cas: (cache, options) => cache.cas('k', 1, 2, options),
  getOrSet: (cache, options) => cache.getOrSet('new', () => undefined, options),
  lock: (cache, options) => cache.lock('k', options),
  tryLock: (cache, options) => cache.tryLock('k', options),
  limiter: (cache) => cache.limiter('api', { limit: 1, window: 1 }),
  clear: (cache, options) => cache.clear(options),
  invalidateTags: (cache, options) => cache.invalidateTags(['t'], options),
  stats: (cache, options) => cache.stats(options),
  flush: (cache, options) => cache.flush(options),
  namespace: (cache) => cache.namespace('other'),
  createReadStream: async (cache, options) => {
    await cache.set('text', 'a', options)
    return cache.createReadStream('text', options)
  },
  createWriteStream: (cache, options) => cache.createWriteStream('k', options),
}

/** Those that return no promise. */
const synchronous = ['getSync', 'namespace', 'limiter', 'createWriteStream']
const aborting = Object.keys(calls).filter((name) => !['getSync', 'namespace', 'limiter'].includes(name))

export function lifecycleContract(subject: Subject): void {
  it.each(Object.keys(calls))('%s fails on a closed cache', async (name) => {
    const { cache } = subject
    const inside = cache.namespace('inside')
    await cache.set('k', 1)
    await cache.close()
    for (const closed of [cache, inside]) {
      await failure('ERR_RAMCACHE_CLOSED', () => calls[name]?.(closed))
    }
  })

  it('covers every method', () => {
    const { cache } = subject
    const names = new Set<string>()
    for (let prototype = Object.getPrototypeOf(cache); prototype !== Object.prototype; ) {
      for (const name of Object.getOwnPropertyNames(prototype)) names.add(name)
      prototype = Object.getPrototypeOf(prototype)
    }
    const inner = ['begin', 'ensureOpen', 'dropUnreadable', 'anyEntry', 'entriesOf', 'sized']
    for (const name of ['constructor', 'close', ...inner]) names.delete(name)
    expect([...names].sort()).toEqual(Object.keys(calls).sort())
  })

  it.each(aborting)('%s does nothing after its signal', async (name) => {
    const { cache } = subject
    const reason = new Error('changed my mind')
    await cache.set('k', 1)
    await expect(async () => calls[name]?.(cache, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect(await cache.getEntry('k')).toMatchObject({ value: 1, expiresAt: undefined })
    expect(await cache.has('new')).toBe(false)
  })

  it.each(aborting)('%s does not mind a signal that is never given', async (name) => {
    const { cache } = subject
    await cache.set('k', 1)
    await calls[name]?.(cache, { signal: new AbortController().signal })
  })

  it('returns promises that reject, and throws nothing, except where there is no promise', async () => {
    const { cache } = subject
    await cache.close()
    for (const [name, call] of Object.entries(calls)) {
      if (synchronous.includes(name)) expect(() => call(cache)).toThrow('closed')
      else await expect(call(cache)).rejects.toThrow('closed')
    }
  })

  it('closes twice, and with a time', async () => {
    const { cache } = subject
    await cache.close({ timeout: '5s' })
    await cache.close()
  })

  it('is closed at the end of its block', async () => {
    let closed: Cache
    {
      await using placement = { ...(await subject.open({})), [Symbol.asyncDispose]: async () => {} }
      await using cache = placement.cache
      await cache.set('k', 1)
      closed = cache
    }
    await failure('ERR_RAMCACHE_CLOSED', () => closed.get('k'))
  })

  it('can be opened again', async () => {
    await subject.cache.set('k', 1)
    const cache = await subject.reopen()
    await cache.set('k', { a: 2 })
    expect(await cache.get('k')).toEqual({ a: 2 })
    expect(await cache.namespace('a').get('k')).toBe(undefined)
  })

  it('resolves a flush', async () => {
    expect(await subject.cache.flush()).toBe(undefined)
  })
}
