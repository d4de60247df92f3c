/** Scans beside writes and movement between the tiers, against a Map of what lived when. */
import { expect, it } from 'vitest'
import { Prng } from '../../src/base/prng.ts'
import { testSeed } from '../support/seed.ts'
import { openTiered } from '../support/stores.ts'

const keyCount = 2000
const rounds = 6

it('brings a clear to the index beside writes of a namespace before it', async () => {
  const { cache, end } = await openTiered()
  await cache.namespace('cleared').set('x', 1)
  await cache.namespace('cleared').clear()
  await cache.set('a', 1)
  const keys: string[] = []
  for await (const { key } of cache.scan()) keys.push(key)
  expect(keys).toEqual(['a'])
  for await (const { key } of cache.namespace('cleared').scan()) keys.push(key)
  expect(keys).toEqual(['a'])
  await end()
})

it.each(['async', 'none'] as const)(
  'shows what lives through a scan once, and what never lived never: with %s',
  async (durability) => {
    const random = new Prng(testSeed('scan over tiers'))
    const placement = await openTiered({ memory: '512kb' })
    const { cache } = placement
    const alive = new Set<string>()
    const change = async () => {
      const key = `key ${random.below(keyCount)}`
      if (random.below(3) === 0) {
        expect(await cache.delete(key)).toBe(alive.delete(key))
        return key
      }
      await cache.set(key, Buffer.alloc(random.below(700), 1), {
        durability: random.pick(['async', durability]),
      })
      alive.add(key)
      return undefined
    }
    for (let round = 0; round < rounds; round++) {
      for (let step = 0; step < 1000; step++) await change()
      const through = new Set(alive)
      const ever = new Set(alive)
      const seen = new Map<string, number>()
      for await (const { key } of cache.scan()) {
        seen.set(key, (seen.get(key) ?? 0) + 1)
        if (random.below(4) === 0) {
          const deleted = await change()
          if (deleted !== undefined) through.delete(deleted)
          for (const key of alive) ever.add(key)
        }
        // Everything moves, and another scan brings a checkpoint in between.
        if (random.below(1000) === 0) await placement.chill()
        if (random.below(500) === 0) for await (const _ of cache.scan({ limit: 1 }));
      }
      expect([...through].filter((key) => seen.get(key) !== 1)).toEqual([])
      expect([...seen.keys()].filter((key) => !ever.has(key))).toEqual([])
      expect(Math.max(...seen.values())).toBe(1)
    }
    await placement.end()
  },
)
