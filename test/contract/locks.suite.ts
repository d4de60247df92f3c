/** Locks: one holder at a time, in turn, over all who have the store. */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { type Cache, connect, type Lease } from '../../src/index.ts'
import { failure } from '../support/errors.ts'
import type { Subject } from './cache.suite.ts'

export function lockContract(subject: Subject): void {
  /** Somebody else who has the same store, over a socket. */
  const another = (dir = subject.dir): Promise<Cache> => connect(`unix://${join(dir, 'ramcache.sock')}`)
  const take = async (cache: Cache, key: string): Promise<Lease> => {
    const lease = await cache.tryLock(key)
    if (lease === undefined) throw new Error(`${key} is locked`)
    return lease
  }

  it('a lock has one holder, and tokens that grow', async () => {
    const { cache } = subject
    await using other = await another()
    const first = await cache.lock('k')
    expect(first.key).toBe('k')
    expect(first.token).toMatch(/^\d{18}$/)
    expect(await cache.tryLock('k')).toBe(undefined)
    expect(await other.tryLock('k')).toBe(undefined)
    expect(await first.release()).toBe(true)
    expect(await first.release()).toBe(false)
    const second = await take(other, 'k')
    expect(await cache.tryLock('k')).toBe(undefined)
    expect(second.token > first.token && BigInt(second.token) > BigInt(first.token)).toBe(true)
    expect(JSON.parse(JSON.stringify(second.token))).toBe(second.token)
    // What has become somebody else's is left alone.
    expect(await first.release()).toBe(false)
    expect((await failure('ERR_RAMCACHE_LOCKED', () => first.renew())).message).toContain('"k"')
    expect(await cache.tryLock('k')).toBe(undefined)
    expect(await second.release()).toBe(true)
  })

  it('a lock is no entry, and of one namespace', async () => {
    const { cache } = subject
    const inside = cache.namespace('inside')
    await cache.set('k', 'value')
    await using lease = await take(cache, 'k')
    await using same = await take(inside, 'k')
    await using bytes = await take(cache, 'l')
    expect(await cache.tryLock(Buffer.from('l'))).toBe(undefined)
    expect([lease.key, same.key, bytes.key]).toEqual(['k', 'k', 'l'])
    expect(await cache.get('k')).toBe('value')
    expect(await cache.has('l')).toBe(false)
    await cache.clear()
    expect(await cache.get('k')).toBe(undefined)
    expect(await cache.tryLock('k')).toBe(undefined)
    const stats = await cache.stats()
    expect(Object.keys(stats.namespaces).filter((name) => name.startsWith(' '))).toEqual([])
    expect(stats.tiers.ram.entries).toBe(0)
  })

  it('a lock ends with its time to live, unless it is renewed', async () => {
    const { cache } = subject
    const lease = await cache.lock('k', { ttl: 1000 })
    await subject.advance(900)
    expect(await cache.tryLock('k')).toBe(undefined)
    await lease.renew()
    await subject.advance(900)
    expect(await cache.tryLock('k')).toBe(undefined)
    await lease.renew('5s')
    await subject.advance(4999)
    expect(await cache.tryLock('k')).toBe(undefined)
    await subject.advance(1)
    // Nobody has taken it, but it is lost all the same.
    await failure('ERR_RAMCACHE_LOCKED', () => lease.renew())
    expect(await lease.release()).toBe(false)
    const next = await take(cache, 'k')
    expect(next.token > lease.token).toBe(true)
    expect(await lease.release()).toBe(false)
    expect(await next.release()).toBe(true)
  })

  it('who waits in vain is told whose it is', async () => {
    const { cache } = subject
    await using other = await another()
    await using lease = await take(other, 'k')
    const began = performance.now()
    const error = await failure('ERR_RAMCACHE_LOCKED', () => cache.lock('k', { wait: 60 }))
    expect(performance.now() - began).toBeGreaterThanOrEqual(59)
    expect(error.message).toContain('"k"')
    expect(error.message).toContain(`process ${process.pid}`)
    expect(error.message).toMatch(/waited \d+ ms/)
    await failure('ERR_RAMCACHE_LOCKED', () => cache.lock('k', { wait: 0 }))
    expect(await lease.release()).toBe(true)
    await (await cache.lock('k', { wait: 0 })).release()
  })

  it('those who wait get it in turn', async () => {
    const { cache } = subject
    await using other = await another()
    const first = await cache.lock('k')
    const order: number[] = []
    const tokens: string[] = []
    const waiting: Promise<void>[] = []
    for (let number = 0; number < 6; number++) {
      const from = number % 2 === 0 ? cache : other
      waiting.push(
        from.lock('k').then(async (lease) => {
          order.push(number)
          tokens.push(lease.token)
          // Nobody overtakes those who stand in line.
          if (number < 5) expect(await from.tryLock('k')).toBe(undefined)
          expect(await lease.release()).toBe(true)
        }),
      )
      // In line before the next one asks.
      await from.tryLock('k')
    }
    await first.release()
    await Promise.all(waiting)
    expect(order).toEqual([0, 1, 2, 3, 4, 5])
    expect(tokens).toEqual(tokens.toSorted())
  })

  it('a lock that expires goes to who waits for it', async () => {
    const { cache } = subject
    const lost = await cache.lock('k', { ttl: 1000 })
    const waiting = cache.lock('k', { wait: '60s' })
    expect(await cache.tryLock('k')).toBe(undefined)
    await subject.advance(1000)
    await using lease = await waiting
    expect(lease.token > lost.token).toBe(true)
    expect(await lost.release()).toBe(false)
  })

  it('an aborted wait leaves the line, and gives back what came too late', async () => {
    const { cache } = subject
    const lease = await cache.lock('k')
    const aborter = new AbortController()
    const aborted = cache.lock('k', { signal: aborter.signal })
    const next = cache.lock('k')
    await cache.tryLock('k')
    aborter.abort(new Error('enough'))
    await expect(aborted).rejects.toThrow('enough')
    await lease.release()
    await (await next).release()
    const early = new AbortController()
    const asked = cache.lock('k', { signal: early.signal })
    early.abort(new Error('at once'))
    await expect(asked).rejects.toThrow('at once')
    await expect(cache.lock('k', { signal: early.signal })).rejects.toThrow('at once')
    // However far the one that was aborted had come.
    await (await cache.lock('k')).release()
  })

  it('a cache that is closed lets go of its locks, and of its places in line', async () => {
    const { cache } = subject
    const other = await another()
    const held = await other.lock('held', { ttl: '1h' })
    const mine = await cache.lock('mine')
    const inLine = failure('ERR_RAMCACHE_CLOSED', () => other.lock('mine', { wait: '1h' }))
    await other.tryLock('mine')
    const waiting = cache.lock('held', { wait: '60s' })
    await other.close()
    await inLine
    await using lease = await waiting
    expect(lease.token > held.token).toBe(true)
    await mine.release()
    await using again = await take(cache, 'mine')
    await failure('ERR_RAMCACHE_CLOSED', () => held.renew())
    expect(again.token > mine.token).toBe(true)
    const { cache: closed } = await subject.open({})
    await closed.close()
    await failure('ERR_RAMCACHE_CLOSED', () => closed.lock('k'))
    await failure('ERR_RAMCACHE_CLOSED', () => closed.tryLock('k'))
  })

  it('locks stay while everything else is evicted', async () => {
    const { cache } = subject
    const leases: Lease[] = []
    for (let number = 0; number < 100; number++) leases.push(await cache.lock(`lock ${number}`))
    for (let number = 0; number < 400; number++) await cache.set(`k${number}`, Buffer.alloc(60_000))
    for (let number = 0; number < 100; number++) {
      expect(await cache.tryLock(`lock ${number}`)).toBe(undefined)
    }
    for (const lease of leases) expect(await lease.release()).toBe(true)
    await (await take(cache, 'lock 5')).release()
  })

  it('is disposed of by `await using`', async () => {
    const { cache } = subject
    {
      await using lease = await cache.lock('k')
      expect(await cache.tryLock('k')).toBe(undefined)
      expect(lease.key).toBe('k')
    }
    await (await take(cache, 'k')).release()
  })

  it('refuses bad keys and options by name', async () => {
    const { cache } = subject
    for (const [options, name] of [
      [{ ttl: 0 }, 'ttl'],
      [{ ttl: '1x' }, 'ttl'],
      [{ wait: -1 }, 'wait'],
      [{ wait: '25d' }, 'wait'],
      [{ signal: 1 }, 'signal'],
      [{ tll: 1 }, 'ttl'],
    ] as const) {
      const error = await failure('ERR_RAMCACHE_CONFIG', () => cache.lock('k', options as never))
      expect(error.message).toContain(name)
    }
    await failure('ERR_RAMCACHE_CONFIG', () => cache.tryLock('k', { wait: 1 } as never))
    await failure('ERR_RAMCACHE_KEY', () => cache.lock(''))
    await failure('ERR_RAMCACHE_KEY', () => cache.lock(7 as never))
    expect((await failure('ERR_RAMCACHE_KEY', () => cache.lock('k'.repeat(4095)))).message).toContain('4094')
    await using lease = await cache.lock('k'.repeat(4094))
    await failure('ERR_RAMCACHE_CONFIG', () => lease.renew('soon'))
    expect(await cache.tryLock('k'.repeat(4094))).toBe(undefined)
  })
}
