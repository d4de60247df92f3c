/** Eight processes at the same keys: what is to be atomic loses nothing. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { wincache_ucache_get as get, wincache_ucache_set as set } from '../../src/wincache.ts'
import { Caller } from './callers.ts'
import { overPlacements } from './placements.ts'

const processes = 8

overPlacements((reopen, optionsOf) => {
  describe('eight processes', () => {
    let callers: Caller[] = []
    beforeAll(async () => {
      reopen()
      callers = await Promise.all(Array.from({ length: processes }, () => Caller.start(optionsOf())))
    })
    afterAll(() => Promise.all(callers.map((caller) => caller.kill())))

    const all = (name: string, ...args: unknown[]) =>
      Promise.all(callers.map((caller) => caller.call(name, ...args)))

    it('increment', async () => {
      set('count', 0)
      await all('incMany', 'count', 200)
      expect(get('count')).toBe(processes * 200)
    })

    it('increment what no number holds', async () => {
      set('count', 2n ** 60n)
      await all('incMany', 'count', 25, 3)
      expect(get('count')).toBe(2n ** 60n + BigInt(processes * 25 * 3))
    })

    it('compare and swap', async () => {
      set('count', 0)
      await all('casMany', 'count', 50)
      expect(get('count')).toBe(processes * 50)
    })

    it('add', async () => {
      const added = (await all('addMany', 'added ', 100)) as number[]
      expect(added.reduce((sum, count) => sum + count)).toBe(100)
    })

    it.each([true, false])('lock each other out, global: %s', async (isGlobal) => {
      set('count', 0)
      await all('lockMany', 'lock', isGlobal, 'count', 20)
      expect(get('count')).toBe(processes * 20)
    })
  })
})
