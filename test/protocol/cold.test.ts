/** Commands on keys that RAM does not have: answered from the tiers below, in order, without holding others up. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openThreeTiers, openTiered, type Placement } from '../support/stores.ts'
import { socketOf, Wire } from './support.ts'

let place: Placement
let wire: Wire

beforeEach(async () => {
  place = await openTiered()
  wire = await Wire.open(socketOf(place.dir))
})
afterEach(async () => {
  wire.close()
  await place.end()
})

describe('cold keys', () => {
  it('are read, and counted as hits of their tier', async () => {
    await place.cache.set('k', 'v')
    await place.cache.set('n', 5)
    await place.chill()
    const before = await place.cache.stats()
    expect(await wire.ask('RC.GET', 'default', 'k')).toEqual([1, 'v', 'ssd'])
    expect(await wire.ask('MGET', 'k', 'none', 'n')).toEqual(['v', null, '5'])
    const after = await place.cache.stats()
    expect(after.hits - before.hits).toBe(3)
    expect(after.misses - before.misses).toBe(1)
    expect(after.tiers.ssd.hits - before.tiers.ssd.hits).toBe(3)
  })

  it('are resolved before a command that depends on them', async () => {
    await place.cache.set('k', 'v')
    await place.cache.set('n', 5)
    await place.cache.set('gone', 'x')
    await place.cache.set('also', 'x')
    await place.chill()
    expect(await wire.ask('SET', 'k', 'w', 'NX')).toBe(null)
    expect(await wire.ask('RC.SET', 'default', 'k', 1, 'w', 'NX')).toBe(null)
    expect(await wire.ask('INCR', 'n')).toBe(6)
    expect(await wire.ask('DEL', 'gone', 'never', 'also')).toBe(2)
    expect(await wire.ask('APPEND', 'k', '!')).toBe(2)
    await place.chill()
    expect(await wire.ask('RC.INCR', 'default', 'n', 1)).toBe('7')
    expect(await wire.ask('SETNX', 'gone', 'again')).toBe(1)
    expect(await wire.ask('EXPIRE', 'k', 100)).toBe(1)
    await place.chill()
    expect(await wire.ask('TTL', 'k')).toBe(100)
    expect(await wire.ask('GETDEL', 'k')).toBe('v!')
    expect(await wire.ask('EXISTS', 'k', 'n', 'gone', 'also')).toBe(2)
  })

  it('are answered in the order of a pipeline, whatever waits for what', async () => {
    for (let number = 0; number < 200; number++) await place.cache.set(`k${number}`, `v${number}`)
    await place.chill()
    await place.cache.set('hot', 'h')
    const wanted: unknown[] = []
    for (let number = 0; number < 200; number++) {
      wire.send('GET', `k${number}`)
      wire.send('GET', 'hot')
      wanted.push(`v${number}`, 'h')
      if (number % 50 === 0) {
        wire.send('INCR', 'count')
        wanted.push(number / 50 + 1)
        wire.send('SET', `k${number + 1}`, 'new')
        wanted.push('OK')
      }
    }
    for (const number of [1, 51, 101, 151]) wanted[wanted.indexOf(`v${number}`)] = 'new'
    const got: unknown[] = []
    for (let index = 0; index < wanted.length; index++) got.push(await wire.read())
    expect(got).toEqual(wanted)
  })

  it('do not hold up other connections', async () => {
    await place.cache.set('k', 'v')
    await place.chill()
    const other = await Wire.open(socketOf(place.dir))
    wire.send('GET', 'k')
    wire.send('SET', 'k', 'w')
    expect(await other.ask('PING')).toBe('PONG')
    expect([await wire.read(), await wire.read()]).toEqual(['v', 'OK'])
    other.close()
  })

  it('are found on the HDD tier too', async () => {
    const three = await openThreeTiers()
    try {
      await three.cache.set('k', 'v')
      await three.freeze()
      const below = await Wire.open(socketOf(three.dir))
      expect(await below.ask('RC.GET', 'default', 'k')).toEqual([1, 'v', 'hdd'])
      expect(await below.ask('SET', 'k', 'w', 'XX')).toBe('OK')
      below.close()
    } finally {
      await three.end()
    }
  })
})
