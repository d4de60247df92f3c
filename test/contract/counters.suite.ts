import { expect, it } from 'vitest'
import { failure } from '../support/errors.ts'
import type { Subject } from './cache.suite.ts'

const safe = Number.MAX_SAFE_INTEGER

export function counterContract(subject: Subject): void {
  it('adds and subtracts', async () => {
    const { cache } = subject
    await cache.set('n', 5)
    expect(await cache.incr('n')).toBe(6)
    expect(await cache.incr('n', 10)).toBe(16)
    expect(await cache.incr('n', -20)).toBe(-4)
    expect(await cache.incr('n', 0)).toBe(-4)
    expect(await cache.decr('n')).toBe(-5)
    expect(await cache.decr('n', -5)).toBe(0)
    expect(Object.is(await cache.decr('n', 0), 0)).toBe(true)
    expect(await cache.get('n')).toBe(0)
  })

  it('creates a counter only from an init', async () => {
    const { cache } = subject
    await failure('ERR_RAMCACHE_NOT_INTEGER', () => cache.incr('n'))
    expect(await cache.has('n')).toBe(false)
    expect(await cache.incr('n', 2, { init: 10 })).toBe(12)
    expect(await cache.incr('n', 2, { init: 10 })).toBe(14)
    expect(await cache.decr('m', 2, { init: 0 })).toBe(-2)
  })

  it('gives a new counter its time, and leaves that of an old one', async () => {
    const { cache } = subject
    await cache.incr('n', 1, { init: 0, ttl: 1000 })
    await subject.advance(600)
    await cache.incr('n', 1, { init: 0, ttl: 1000 })
    await subject.advance(399)
    expect(await cache.incr('n', 1, { init: 0 })).toBe(3)
    await subject.advance(1)
    expect(await cache.get('n')).toBe(undefined)
    await cache.set('m', 1)
    await cache.incr('m', 1, { ttl: 1000 })
    expect(await cache.getEntry('m')).toMatchObject({ expiresAt: undefined })
  })

  it.each<[string, unknown]>([
    ['a fraction', 1.5],
    ['not a number', Number.NaN],
    ['a number beyond 2^53', 2 ** 60],
    ['digits', '5'],
    ['a bigint', 5n],
    ['null', null],
    ['an object', { n: 1 }],
    ['bytes', Buffer.from('5')],
  ])('leaves what is not a whole number: %s', async (_, value) => {
    const { cache } = subject
    await cache.set('n', value)
    const before = await cache.getEntry('n')
    await failure('ERR_RAMCACHE_NOT_INTEGER', () => cache.incr('n'))
    await failure('ERR_RAMCACHE_NOT_INTEGER', () => cache.decr('n', 1, { init: 0 }))
    expect(await cache.getEntry('n')).toEqual(before)
  })

  it('stays within ±(2^53 - 1)', async () => {
    const { cache } = subject
    await cache.set('n', safe - 1)
    expect(await cache.incr('n')).toBe(safe)
    await failure('ERR_RAMCACHE_NOT_INTEGER', () => cache.incr('n'))
    expect(await cache.get('n')).toBe(safe)
    await cache.set('n', -safe)
    await failure('ERR_RAMCACHE_NOT_INTEGER', () => cache.decr('n'))
    await failure('ERR_RAMCACHE_NOT_INTEGER', () => cache.incr('new', safe, { init: safe }))
    expect(await cache.has('new')).toBe(false)
  })

  it.each([1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, '1', null, 1n])('adds no %s', async (by) => {
    const { cache } = subject
    await cache.set('n', 1)
    const error = await failure('ERR_RAMCACHE_NOT_INTEGER', () => cache.incr('n', by as number))
    expect(error.message).toContain('2^53 - 1')
    await failure('ERR_RAMCACHE_NOT_INTEGER', () => cache.decr('n', by as number))
    expect(await cache.get('n')).toBe(1)
  })

  it('loses no increment of callers at the same time', async () => {
    const { cache } = subject
    const sums = await Promise.all(Array.from({ length: 200 }, () => cache.incr('n', 1, { init: 0 })))
    expect(new Set(sums).size).toBe(200)
    expect(await cache.get('n')).toBe(200)
  })
}
