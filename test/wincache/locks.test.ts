/** `wincache_lock` and `wincache_unlock`: whose a lock is, and what becomes of it when its holder ends, dies or stands still. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { wincache_lock as lock, wincache_unlock as unlock } from '../../src/wincache.ts'
import { Caller } from './callers.ts'
import { fresh, overPlacements } from './placements.ts'

/** Longer than anything takes when nobody holds a lock, and much shorter than a lease. */
const shortWait = { lockWait: '4s' }

overPlacements((reopen, optionsOf) => {
  const started: Caller[] = []
  async function startCaller(): Promise<Caller> {
    const caller = await Caller.start(optionsOf())
    started.push(caller)
    return caller
  }
  afterEach(async () => {
    vi.restoreAllMocks()
    await Promise.all(started.splice(0).map((caller) => caller.kill()))
  })

  describe('a lock', () => {
    it('is held until it is let go, and by nobody twice', () => {
      const warnings = fresh(reopen)
      expect(unlock('a')).toBe(false)
      expect(lock('a')).toBe(true)
      expect(lock('a')).toBe(false)
      expect(lock('a', true)).toBe(false)
      expect(lock('b', true)).toBe(true)
      expect(unlock('a')).toBe(true)
      expect(unlock('a')).toBe(false)
      expect(lock('a')).toBe(true)
      expect(unlock('a')).toBe(true)
      expect(unlock('b')).toBe(true)
      expect(warnings).toEqual([])
    })

    it('has a key of at most 150 bytes', () => {
      fresh(reopen)
      const error = expect.objectContaining({
        code: 'ERR_RAMCACHE_KEY',
        message: expect.stringContaining('150'),
      })
      for (const key of ['k'.repeat(151), 'é'.repeat(76), 'k'.repeat(5000)]) {
        expect(() => lock(key)).toThrow(error)
        expect(() => unlock(key)).toThrow(error)
      }
      expect(lock('k'.repeat(150))).toBe(true)
      expect(unlock(`${'k'.repeat(150)}\0rest`)).toBe(true)
      expect(lock('')).toBe(false)
    })

    it('keeps other processes out, and no longer than they wait', async () => {
      const warnings = fresh(reopen, { lockWait: 0 })
      const other = await startCaller()
      expect(await other.call('wincache_lock', 'a', true)).toBe(true)
      expect(lock('a', true)).toBe(false)
      expect(warnings).toEqual([expect.stringContaining('somebody else')])
      expect(unlock('a')).toBe(false)
      expect(await other.call('wincache_unlock', 'a')).toBe(true)
      expect(lock('a', true)).toBe(true)
    })

    it('is one of all processes, or of those with the same parent', async () => {
      fresh(reopen, { lockWait: 0 })
      const other = await startCaller()
      const sibling = await startCaller()
      await sibling.call('openSync', { ...optionsOf(), lockWait: 0 })
      expect(await other.call('wincache_lock', 'a')).toBe(true)
      expect(await sibling.call('wincache_lock', 'a')).toBe(false)
      // Their parent has another one.
      expect(lock('a')).toBe(true)
      expect(await sibling.call('wincache_lock', 'a', true)).toBe(true)
      expect(await other.call('wincache_lock', 'b', true)).toBe(true)
      expect(await sibling.call('wincache_lock', 'b')).toBe(true)
    })

    it('is waited for while this thread stands still', async () => {
      fresh(reopen)
      const other = await startCaller()
      lock('a', true)
      const locked = other.call('wincache_lock', 'a', true)
      expect(unlock('a')).toBe(true)
      expect(await locked).toBe(true)
      // Whoever holds it lets it go while this thread is blocked.
      const released = other.call('wincache_unlock', 'a')
      expect(lock('a', true)).toBe(true)
      expect(await released).toBe(true)
    })

    it('is free when its holder has ended, or has closed the store', async () => {
      fresh(reopen, shortWait)
      const other = await startCaller()
      await other.call('wincache_lock', 'a', true)
      await other.end()
      expect(lock('a', true)).toBe(true)
      const third = await startCaller()
      reopen(shortWait)
      expect(await third.call('wincache_lock', 'a', true)).toBe(true)
    })
  })
})

overPlacements(
  (reopen, optionsOf) => {
    it('a lock outlives its lease while it is held, and a killed holder for one lease', async () => {
      fresh(reopen, { lockWait: '15s' })
      const other = await Caller.start(optionsOf())
      await other.call('wincache_lock', 'a', true)
      const begin = performance.now()
      expect(lock('a', true)).toBe(false)
      expect(performance.now() - begin).toBeGreaterThan(14_900)
      await other.kill()
      expect(lock('a', true)).toBe(true)
      expect(unlock('a')).toBe(true)
    })
  },
  ['a client of a daemon'],
)

overPlacements(
  (reopen, optionsOf) => {
    it("a holder that stood still for too long has lost its lock, and lets go nobody else's", async () => {
      fresh(reopen)
      const other = await Caller.start(optionsOf())
      await other.call('wincache_lock', 'a', true)
      other.process.kill('SIGSTOP')
      expect(lock('a', true)).toBe(true)
      other.process.kill('SIGCONT')
      expect(await other.call('wincache_unlock', 'a')).toBe(false)
      expect(unlock('a')).toBe(true)
      await other.kill()
    })
  },
  ['embedded, in memory'],
)
