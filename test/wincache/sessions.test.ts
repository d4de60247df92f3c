/** What WinCache says of sessions. Those of PHP are in `php.test.ts`. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { wincache_scache_info as info, wincache_scache_meminfo as meminfo } from '../../src/wincache.ts'
import { Caller } from './callers.ts'
import { fresh, overPlacements } from './placements.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

overPlacements((reopen, optionsOf) => {
  describe('sessions', () => {
    it('are none at first, and then those of the namespace', async () => {
      fresh(reopen)
      expect(info()).toEqual({
        total_cache_uptime: expect.any(Number),
        is_local_cache: false,
        total_item_count: 0,
        total_hit_count: 0,
        total_miss_count: 0,
        scache_entries: {},
      })
      const other = await Caller.start(optionsOf())
      await other.call('keepSession', optionsOf(), 'abc', 'a|i:1;', 600_000)
      await other.end()
      const entry = {
        key_name: 'abc',
        value_type: 'string',
        value_size: 6,
        is_session: true,
        ttl_seconds: 600,
      }
      expect(info()).toMatchObject({ total_item_count: 1, scache_entries: { 1: { ...entry, hitcount: 0 } } })
      expect(info(true)).toMatchObject({ total_item_count: 1, scache_entries: {} })
      expect(meminfo()).toMatchObject({ memory_total: expect.any(Number), memory_free: expect.any(Number) })
    })
  })
})
