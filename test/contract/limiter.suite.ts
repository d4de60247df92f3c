/** Limiters: one window for all who have the store. */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { connect } from '../../src/index.ts'
import { failure } from '../support/errors.ts'
import type { Subject } from './cache.suite.ts'

export function limiterContract(subject: Subject): void {
  const options = { limit: 3, window: '1s' }
  let last = 0
  /** Nothing but time empties a limiter, and some tests share a store. */
  const fresh = () => `api-${++last}`

  it('admits points up to its limit, and again when the window has room', async () => {
    const name = fresh()
    const limiter = subject.cache.limiter(name, options)
    expect(limiter.name).toBe(name)
    expect(await limiter.consume('k')).toEqual({
      allowed: true,
      limit: 3,
      consumed: 1,
      remaining: 2,
      warned: false,
      retryAfterMs: 0,
      resetMs: expect.any(Number),
    })
    expect((await limiter.consume('k', 2)).remaining).toBe(0)
    const denied = await limiter.consume('k')
    expect(denied).toMatchObject({ allowed: false, consumed: 3, remaining: 0 })
    // A window, and up to two of its 32 parts.
    expect(denied.retryAfterMs).toBeGreaterThanOrEqual(1000)
    expect(denied.retryAfterMs).toBeLessThanOrEqual(1064)
    await subject.advance(denied.retryAfterMs - 1)
    expect(await limiter.consume('k')).toMatchObject({ allowed: false, retryAfterMs: 1 })
    await subject.advance(1)
    expect(await limiter.consume('k')).toMatchObject({ allowed: true, consumed: 1 })
  })

  it('is shared by who has the store, and apart from other keys, names and namespaces', async () => {
    const name = fresh()
    const { cache } = subject
    await using other = await connect(`unix://${join(subject.dir, 'ramcache.sock')}`)
    const limiter = cache.limiter(name, options)
    expect((await limiter.consume('k', 2)).allowed).toBe(true)
    expect((await other.limiter(name, options).consume('k', 2)).allowed).toBe(false)
    expect((await other.limiter(name, options).consume(Buffer.from('k'))).consumed).toBe(3)
    expect((await other.limiter(name.toUpperCase(), options).consume('k', 3)).allowed).toBe(true)
    expect((await cache.namespace('a').limiter(name, options).consume('k', 3)).allowed).toBe(true)
    expect((await limiter.consume('l', 3)).allowed).toBe(true)
    expect((await limiter.consume()).consumed).toBe(1)
    expect((await limiter.consume(undefined, 2)).consumed).toBe(3)
    expect(await cache.has('k')).toBe(false)
    await cache.set('k', 1)
    await cache.clear()
    expect((await limiter.get('k')).consumed).toBe(3)
    expect((await cache.stats()).tiers.ram.entries).toBe(0)
  })

  it('warns, and denies for as long as its penalty', async () => {
    const name = fresh()
    const limiter = subject.cache.limiter(name, { limit: 200, window: '1s', warn: 175, penalty: '10s' })
    expect((await limiter.consume('k', 174)).warned).toBe(false)
    expect((await limiter.consume('k')).warned).toBe(true)
    expect(await limiter.consume('k', 26)).toMatchObject({
      allowed: false,
      warned: true,
      retryAfterMs: 10_000,
    })
    expect(await limiter.get('k')).toMatchObject({ allowed: false, remaining: 25 })
    await subject.advance(9_999)
    // It would have room again; and asking makes it no longer.
    expect(await limiter.consume('k')).toMatchObject({ allowed: false, consumed: 0, retryAfterMs: 1 })
    await subject.advance(1)
    expect(await limiter.consume('k', 200)).toMatchObject({ allowed: true, warned: true })
  })

  it('looks, counts in any case, takes back and forgets', async () => {
    const name = fresh()
    const limiter = subject.cache.limiter(name, options)
    expect(await limiter.get('k')).toMatchObject({ allowed: true, consumed: 0, resetMs: 0 })
    expect(await limiter.penalty('k', 5)).toMatchObject({ allowed: false, consumed: 5, remaining: 0 })
    expect(await limiter.consume('k')).toMatchObject({ allowed: false, consumed: 5 })
    expect(await limiter.reward('k', 4)).toMatchObject({ allowed: true, consumed: 1 })
    expect(await limiter.reward('k', 4)).toMatchObject({ consumed: 0 })
    expect((await limiter.consume('k', 3)).allowed).toBe(true)
    expect(await limiter.delete('k')).toBe(true)
    expect(await limiter.delete('k')).toBe(false)
    expect((await limiter.consume('k', 3)).allowed).toBe(true)
  })

  it('goes on while everything else is evicted', async () => {
    const name = fresh()
    const { cache } = subject
    const limiter = cache.limiter(name, options)
    for (let number = 0; number < 50; number++) await limiter.consume(`k${number}`, 3)
    for (let number = 0; number < 400; number++) await cache.set(`k${number}`, Buffer.alloc(60_000))
    for (let number = 0; number < 50; number++) {
      expect((await limiter.consume(`k${number}`)).allowed).toBe(false)
    }
  })

  it('refuses bad options, points and keys by name', async () => {
    const name = fresh()
    const { cache } = subject
    for (const [bad, word] of [
      [{ limit: 0, window: 1 }, 'limit'],
      [{ limit: 1.5, window: 1 }, 'limit'],
      [{ limit: 1 }, 'window'],
      [{ limit: 1, window: 0 }, 'window'],
      [{ limit: 1, window: 1, warn: 2 }, 'warn'],
      [{ limit: 1, window: 1, penalty: '-1s' }, 'penalty'],
      [{ limit: 1, window: 1, widnow: 1 }, 'window'],
    ] as const) {
      const error = await failure('ERR_RAMCACHE_CONFIG', () => cache.limiter(name, bad as never))
      expect(error.message).toContain(word)
    }
    for (const bad of ['', ' x', 'x'.repeat(65), 1]) {
      await failure('ERR_RAMCACHE_CONFIG', () => cache.limiter(bad as never, options))
    }
    const limiter = cache.limiter(name, options)
    for (const points of [0, 4, 1.5, '1']) {
      await failure('ERR_RAMCACHE_CONFIG', () => limiter.consume('k', points as never))
    }
    await failure('ERR_RAMCACHE_KEY', () => limiter.consume(1 as never))
    await failure('ERR_RAMCACHE_KEY', () => limiter.consume('k'.repeat(4030)))
    expect((await limiter.consume('k'.repeat(4029))).allowed).toBe(true)
    const aborted = AbortSignal.abort(new Error('enough'))
    await expect(limiter.consume('k', 1, { signal: aborted })).rejects.toThrow('enough')
    const { cache: closed } = await subject.open({})
    const late = closed.limiter(name, options)
    await closed.close()
    await failure('ERR_RAMCACHE_CLOSED', () => late.consume('k'))
    await failure('ERR_RAMCACHE_CLOSED', () => closed.limiter(name, options))
  })
}
