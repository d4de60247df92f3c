/** RC.LIMIT and CL.THROTTLE as they stand on the wire. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openEmbedded, type Placement } from '../support/stores.ts'
import { ErrorReply, type Reply, socketOf, Wire } from './support.ts'

let place: Placement
let wire: Wire

beforeEach(async () => {
  place = await openEmbedded()
  wire = await Wire.open(socketOf(place.dir))
})
afterEach(async () => {
  wire.close()
  await place.end()
})

it('RC.LIMIT counts, looks and forgets', async () => {
  const ask = (points: number, ...words: (string | number)[]) =>
    wire.ask('RC.LIMIT', 'ns', 'api', 'k', 3, 1000, points, ...words)
  expect(await ask(0)).toEqual([1, 0, 3, 0, 0, 0])
  expect(await ask(2, 'WARN', 2)).toEqual([1, 2, 1, 0, expect.any(Number), 1])
  const denied = (await ask(2)) as number[]
  expect(denied.slice(0, 3)).toEqual([0, 2, 1])
  expect(denied[3]).toBeGreaterThanOrEqual(1000)
  expect(await ask(2, 'PENALTY', 60_000)).toEqual([0, 2, 1, 60_000, 60_000, 0])
  expect(await wire.ask('RC.LIMIT', 'ns', 'api', 'k', 'RESET')).toBe(1)
  expect(await wire.ask('RC.LIMIT', 'ns', 'api', 'k', 'RESET')).toBe(0)
  expect(await ask(5, 'ALL')).toEqual([0, 5, 0, expect.any(Number), expect.any(Number), 0])
  expect(((await ask(-3, 'ALL')) as number[])[1]).toBe(2)
  for (const words of [
    ['RC.LIMIT', 'ns', 'api', 'k', 3],
    ['RC.LIMIT', 'ns', 'api', 'k', 3, 1000],
    ['RC.LIMIT', 'ns', 'api', 'k', 0, 1000, 1],
    ['RC.LIMIT', 'ns', 'api', 'k', 3, 1000, -1],
    ['RC.LIMIT', 'ns', 'api', 'k', 3, 1000, 4],
    ['RC.LIMIT', 'ns', 'api', 'k', 3, 1000, 1, 'WARN'],
    ['RC.LIMIT', ' limits', 'api', 'k', 3, 1000, 1],
  ]) {
    expect(await wire.ask(...words)).toBeInstanceOf(ErrorReply)
  }
})

describe('CL.THROTTLE', () => {
  const throttle = (...words: (string | number)[]): Promise<Reply> =>
    wire.ask('CL.THROTTLE', 'user', ...words)

  it('answers as the example in the README of redis-cell', async () => {
    // 15 and one more at once, 30 in 60 seconds.
    expect(await throttle(15, 30, 60, 1)).toEqual([0, 16, 15, -1, 2])
    for (let left = 14; left >= 0; left--) {
      expect(await throttle(15, 30, 60)).toEqual([0, 16, left, -1, 2 * (16 - left)])
    }
    expect(await throttle(15, 30, 60)).toEqual([1, 16, 0, 2, 32])
    await place.advance(1999)
    expect(await throttle(15, 30, 60)).toEqual([1, 16, 0, 1, 31])
    await place.advance(1)
    expect(await throttle(15, 30, 60)).toEqual([0, 16, 0, -1, 32])
    expect(await throttle(15, 30, 60, 3)).toEqual([1, 16, 0, 6, 32])
    await place.advance(32_000)
    expect(await wire.ask('EXISTS', 'user')).toBe(0)
    expect(await throttle(15, 30, 60, 16)).toEqual([0, 16, 0, -1, 32])
  })

  it('never allows more than there can be, and looks with a quantity of 0', async () => {
    expect(await throttle(4, 10, 10, 0)).toEqual([0, 5, 5, -1, 0])
    expect(await wire.ask('EXISTS', 'user')).toBe(0)
    expect(await throttle(4, 10, 10, 6)).toEqual([1, 5, 5, -1, 0])
    expect(await throttle(4, 10, 10, 5)).toEqual([0, 5, 0, -1, 5])
    expect(await throttle(4, 10, 10, 0)).toEqual([0, 5, 0, -1, 5])
  })

  it('has its state under the key, where DEL finds it', async () => {
    await throttle(0, 1, 60)
    expect(await throttle(0, 1, 60)).toEqual([1, 1, 0, 60, 60])
    expect(await wire.ask('TTL', 'user')).toBe(60)
    expect(await wire.ask('DEL', 'user')).toBe(1)
    expect(await throttle(0, 1, 60)).toEqual([0, 1, 0, -1, 60])
    await wire.ask('SET', 'user', 'text')
    expect(await throttle(0, 1, 60)).toBeInstanceOf(ErrorReply)
  })

  it('refuses what is no rate', async () => {
    for (const words of [
      [-1, 1, 1],
      [1, 0, 1],
      [1, 1, 0],
      [1, 1, 1, -1],
      ['x', 1, 1],
      [1, 1, 1, 1, 1],
      ['9223372036854775807', 1, 60],
    ]) {
      expect(await throttle(...words)).toBeInstanceOf(ErrorReply)
    }
  })
})
