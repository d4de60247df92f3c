/** The user cache of WinCache, function by function, with what its source and its own tests say of the edges. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  wincache_ucache_add as add,
  wincache_ucache_cas as cas,
  wincache_ucache_clear as clear,
  wincache_ucache_dec as dec,
  wincache_ucache_delete as drop,
  wincache_ucache_exists as exists,
  wincache_ucache_get as get,
  wincache_ucache_inc as inc,
  wincache_ucache_info as info,
  wincache_ucache_meminfo as meminfo,
  type Success,
  wincache_ucache_set as set,
  type UcacheInfo,
} from '../../src/wincache.ts'
import { fresh, overPlacements } from './placements.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

const monotonicMs = () => performance.now()

/** Entries by their name. */
function entries(found: UcacheInfo | false) {
  if (found === false) throw new Error('no information')
  return Object.fromEntries(Object.values(found.ucache_entries).map((entry) => [entry.key_name, entry]))
}

overPlacements((reopen) => {
  describe('get and set', () => {
    it('give back a copy of what was stored', () => {
      fresh(reopen)
      const value = { list: [1, 'two', null], bytes: Buffer.from([0, 255]), deep: { big: 2n ** 70n } }
      expect(set('key', value)).toBe(true)
      value.list.push('later')
      expect(get('key')).toEqual({
        list: [1, 'two', null],
        bytes: Buffer.from([0, 255]),
        deep: { big: 2n ** 70n },
      })
      const scalars = ['', 'text', 'naïve', 0, -1.5, true, null, 2n ** 63n, Buffer.alloc(3)]
      for (const scalar of scalars) {
        expect(set('scalar', scalar)).toBe(true)
        expect(get('scalar')).toEqual(scalar)
      }
      expect(set('nothing')).toBe(true)
      expect(get('nothing')).toBe(null)
    })

    it('tell a stored false from a miss by success', () => {
      fresh(reopen)
      const success: Success = {}
      expect(get('key', success)).toBe(false)
      expect(success.success).toBe(false)
      set('key', false)
      expect(get('key', success)).toBe(false)
      expect(success.success).toBe(true)
    })

    it('overwrite value and time to live', () => {
      fresh(reopen)
      set('key', 1, 1)
      set('key', 2)
      expect(entries(info(false, 'key')).key).toMatchObject({ ttl_seconds: 0 })
      set('key', 3, 50)
      expect(entries(info(false, 'key')).key).toMatchObject({ ttl_seconds: 50 })
      expect(get('key')).toBe(3)
    })

    it('take many at once', () => {
      const warnings = fresh(reopen)
      expect(set({ a: 1, b: [2], '': 'blank', __proto__x: 0 }, null, 60)).toEqual({})
      expect(set(['zero', 'one'])).toEqual({})
      expect(
        set(
          new Map<string | number, unknown>([
            ['m', 1],
            [7, 'seven'],
          ]),
        ),
      ).toEqual({})
      const success: Success = {}
      expect(get(['a', 'b', '', 'none', 0, '1', 7, 'm', 'a'], success)).toEqual({
        a: 1,
        b: [2],
        '': 'blank',
        0: 'zero',
        1: 'one',
        7: 'seven',
        m: 1,
      })
      expect(success.success).toBe(true)
      expect(get(['none'], success)).toEqual({})
      expect(success.success).toBe(true)
      expect(get([])).toEqual({})
      expect(entries(info(false))).toMatchObject({ a: { ttl_seconds: 60 }, '': { value_type: 'string' } })
      expect(warnings).toEqual([])
    })

    it('name the keys of an array that were not stored, and store the others', () => {
      const warnings = fresh(reopen)
      expect(set({ good: 1, bad: Symbol('s'), ['l'.repeat(4097)]: 2 })).toEqual({
        bad: -1,
        ['l'.repeat(4097)]: -1,
      })
      expect(get('good')).toBe(1)
      expect(set({ bad: Symbol('s') })).toEqual({ bad: -1 })
      expect(warnings).toEqual([expect.stringContaining('value cannot be')])
    })

    it('make a key of what is none', () => {
      fresh(reopen)
      for (const [given, key] of [
        [5, '5'],
        [true, '1'],
        [2n, '2'],
        [1.5, '1.5'],
        [Buffer.from('b'), 'b'],
      ]) {
        expect(set(given, `value of ${key}`)).toBe(true)
        expect(get(key)).toBe(`value of ${key}`)
      }
      expect(set('cut\0here', 1)).toBe(true)
      expect(get('cut')).toBe(1)
      expect(get('cut\0there')).toBe(1)
      expect(set('Case', 1)).toBe(true)
      expect(get('case')).toBe(false)
    })

    it('refuse keys that are blank, too long or nothing', () => {
      const warnings = fresh(reopen)
      for (const blank of ['', '\0rest', null, false]) expect(set(blank, 1)).toBe(false)
      expect(warnings).toEqual(['wincache_ucache_set(): key cannot be blank string'])
      expect(set('k'.repeat(4096), 1)).toBe(true)
      expect(set('k'.repeat(4097), 1)).toBe(false)
      expect(set('é'.repeat(2049), 1)).toBe(false)
      expect(add('k'.repeat(4097), 1)).toBe(false)
      expect(warnings).toHaveLength(1)
      for (const key of [Symbol('s'), () => 1, new Date(0), '\ud800']) expect(set(key, 1)).toBe(false)
      expect(warnings).toHaveLength(3)
      expect(get([{}])).toBe(false)
      expect(get([1.5])).toBe(false)
      expect(drop(['k', null])).toBe(false)
      expect(warnings.slice(3)).toEqual([
        'wincache_ucache_get(): key element in the array can only be string or integer',
        'wincache_ucache_delete(): key element in the array can only be string or integer',
      ])
    })

    it('refuse values that cannot be kept', () => {
      const warnings = fresh(reopen)
      expect(() => set('key', () => 1)).toThrow("Serialization of 'Closure' is not allowed")
      expect(() => add({ key: () => 1 })).toThrow("Serialization of 'Closure' is not allowed")
      expect(set('key', Symbol('s'))).toBe(false)
      expect(set('key', { at: { depth: undefined } })).toBe(false)
      expect(warnings).toEqual([
        'wincache_ucache_set(): value cannot be a symbol',
        expect.stringContaining('at.depth'),
      ])
      expect(exists('key')).toBe(false)
    })

    it('refuse a time to live below 0', () => {
      const warnings = fresh(reopen)
      expect(set('key', 1, -1)).toBe(false)
      expect(add('key', 1, -1)).toBe(false)
      expect(set({ key: 1 }, null, -1)).toBe(false)
      expect(warnings).toHaveLength(2)
      expect(exists('key')).toBe(false)
      expect(set('key', 1, 2 ** 40)).toBe(true)
      expect(entries(info(false, 'key')).key).toMatchObject({ ttl_seconds: 2 ** 40 })
    })
  })

  describe('time to live', () => {
    it('runs from the write, whatever reads, inc and cas do', () => {
      fresh(reopen)
      const begin = monotonicMs()
      // Long enough for what is done before it is over, on a machine that has much else to do.
      set('key', 1, 4)
      set({ other: 1 }, null, 4)
      expect(inc('key')).toBe(2)
      expect(cas('other', 1, 5)).toBe(true)
      for (const key of ['key', 'other']) {
        expect(entries(info(false, key))[key]).toMatchObject({ ttl_seconds: 4 })
      }
      // Nothing interrupts a thread that never lets go: it gives up by itself.
      while ((exists('key') || exists('other')) && monotonicMs() - begin < 20_000) get('key')
      expect(get(['key', 'other'])).toEqual({})
      // The clocks of two processes: this one's, and that of the store.
      expect(monotonicMs() - begin).toBeGreaterThan(3950)
      expect(get('key')).toBe(false)
      expect(add('key', 'again')).toBe(true)
    })
  })

  describe('add', () => {
    it('stores what is not there', () => {
      const warnings = fresh(reopen)
      expect(add('key', 1, 60)).toBe(true)
      expect(add('key', 2)).toBe(false)
      expect(warnings).toEqual(['wincache_ucache_add(): function called with a key which already exists'])
      expect(get('key')).toBe(1)
      expect(add({ key: 3, other: 4 })).toEqual({ key: -1 })
      expect(add({ key: 3, other: 4 })).toEqual({ key: -1, other: -1 })
      expect(add(['without a key'])).toEqual({})
      expect(get(['key', 'other', '0'])).toEqual({ key: 1, other: 4, 0: 'without a key' })
    })
  })

  describe('inc, dec and cas', () => {
    it('count', () => {
      const warnings = fresh(reopen)
      set('key', 1)
      const success: Success = {}
      expect(inc('key', 1, success)).toBe(2)
      expect(success.success).toBe(true)
      expect(inc('key', 2921)).toBe(2923)
      expect(dec('key')).toBe(2922)
      expect(inc('key', -22)).toBe(2900)
      expect(dec('key', -100)).toBe(3000)
      expect(inc('key', 1.9)).toBe(3001)
      expect(inc('key', '9' as unknown as number)).toBe(3010)
      set('key', 1)
      expect(dec('key', 2923)).toBe(-2922)
      expect(warnings).toEqual([])
    })

    it('do not make what is not there', () => {
      const warnings = fresh(reopen)
      const success: Success = { success: true }
      expect(inc('key', 1, success)).toBe(false)
      expect(success.success).toBe(false)
      expect(dec('key')).toBe(false)
      expect(cas('key', 0, 1)).toBe(false)
      expect(exists('key')).toBe(false)
      expect(warnings).toEqual([])
    })

    it('refuse what is no integer', () => {
      const warnings = fresh(reopen)
      for (const value of ['5', 5.5, true, null, [1], { a: 1 }]) {
        set('key', value)
        expect(inc('key')).toBe(false)
        expect(dec('key')).toBe(false)
        expect(cas('key', 5, 6)).toBe(false)
        expect(get('key')).toEqual(value)
      }
      expect(warnings).toEqual(
        ['inc', 'dec', 'cas'].map(
          (name) => `wincache_ucache_${name}(): function can only be called for key whose value is long`,
        ),
      )
      set('key', 5)
      expect(inc('key', 'x' as unknown as number)).toBe(false)
      expect(get('key')).toBe(5)
    })

    it('have 64 bits, and wrap', () => {
      fresh(reopen)
      set('key', Number.MAX_SAFE_INTEGER)
      expect(inc('key')).toBe(2n ** 53n)
      expect(dec('key')).toBe(Number.MAX_SAFE_INTEGER)
      set('key', 2n ** 63n - 1n)
      expect(inc('key')).toBe(-(2n ** 63n))
      expect(dec('key')).toBe(2n ** 63n - 1n)
      expect(cas('key', 2n ** 63n - 1n, 7)).toBe(true)
      expect(inc('key')).toBe(8)
      set('key', 2n ** 63n)
      expect(inc('key')).toBe(false)
    })

    it('swap what matches only', () => {
      const warnings = fresh(reopen)
      set('key', 7, 60)
      expect(cas('key', 8, 9)).toBe(false)
      expect(get('key')).toBe(7)
      expect(cas('key', 7, 9)).toBe(true)
      expect(get('key')).toBe(9)
      expect(entries(info(false, 'key')).key).toMatchObject({ ttl_seconds: 60 })
      expect(warnings).toEqual([])
    })
  })

  describe('delete, exists and clear', () => {
    it('delete one, or a list', () => {
      fresh(reopen)
      set({ a: 1, b: 2, 3: 'three' })
      expect(drop('a')).toBe(true)
      expect(drop('a')).toBe(false)
      // Not as the source, where the last one decides.
      expect(drop(['b', 3, 'a'])).toEqual(['b', 3])
      expect(drop(['a', 'b'])).toBe(false)
    })

    it('see what is there', () => {
      fresh(reopen)
      set('key', false)
      expect(exists('key')).toBe(true)
      expect(exists('Key')).toBe(false)
      expect(exists('')).toBe(false)
    })

    it('clear all, without an argument', () => {
      fresh(reopen)
      set({ a: 1, b: 2 })
      expect(clear('a')).toBe(false)
      expect(exists('a')).toBe(true)
      expect(clear()).toBe(true)
      expect(get(['a', 'b'])).toEqual({})
    })
  })

  describe('info', () => {
    it('counts what get finds, and nothing else', () => {
      fresh(reopen)
      const before = info(true) as UcacheInfo
      set('key', 1)
      get('key')
      get('none')
      get(['key', 'none', 'other'])
      exists('key')
      exists('none')
      inc('key')
      cas('key', 2, 3)
      clear()
      const after = info(true) as UcacheInfo
      expect(after.total_hit_count - before.total_hit_count).toBe(2)
      expect(after.total_miss_count - before.total_miss_count).toBe(3)
      expect(after.ucache_entries).toEqual({})
      expect(after.is_local_cache).toBe(false)
      expect(after.total_cache_uptime).toBeGreaterThanOrEqual(before.total_cache_uptime)
    })

    it('describes entries, from 1 on', () => {
      fresh(reopen)
      const values = {
        null: null,
        bool: true,
        long: 5,
        double: 1.5,
        string: 'text',
        array: [1],
        object: { a: 1 },
      }
      set(values, null, 30)
      get('string')
      get('string')
      const found = info() as UcacheInfo
      expect(found.total_item_count).toBe(7)
      expect(Object.keys(found.ucache_entries)).toEqual(['1', '2', '3', '4', '5', '6', '7'])
      const types = Object.entries(entries(found)).map(([name, { value_type }]) => [name, value_type])
      expect(types.every(([name, type]) => name === type)).toBe(true)
      expect(info(false, 'string')).toMatchObject({
        total_item_count: 7,
        ucache_entries: {
          1: {
            key_name: 'string',
            value_type: 'string',
            value_size: 4,
            is_session: false,
            ttl_seconds: 30,
            age_seconds: expect.any(Number),
            hitcount: 2,
          },
        },
      })
      expect(info(true)).toMatchObject({ total_item_count: 7, ucache_entries: {} })
      expect(info(false, 'none')).toMatchObject({ ucache_entries: {} })
    })

    it('says what memory there is', () => {
      fresh(reopen)
      const before = meminfo()
      set('key', 'v'.repeat(50_000))
      const after = meminfo()
      if (before === false || after === false) throw new Error('no information')
      expect(after.memory_total).toBe(before.memory_total)
      expect(after.num_used_blks).toBe(before.num_used_blks + 1)
      expect(after.memory_free).toBeGreaterThan(0)
      expect(after.memory_free + after.memory_overhead).toBeLessThan(after.memory_total - 50_000)
    })
  })

  it('is off when it is told to be, all but its information', () => {
    fresh(reopen, { ucenabled: false })
    const success: Success = { success: true }
    expect([get('a', success), set('a', 1), set({ a: 1 }), add('a', 1), inc('a'), dec('a')]).toEqual(
      Array(6).fill(false),
    )
    expect([cas('a', 1, 2), drop('a'), exists('a'), clear()]).toEqual(Array(4).fill(false))
    expect(success.success).toBe(false)
    expect(info(true)).toMatchObject({ ucache_entries: {} })
    expect(meminfo()).toMatchObject({ memory_total: expect.any(Number) })
  })
})
