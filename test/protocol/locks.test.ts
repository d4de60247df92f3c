/** RC.LOCK, RC.UNLOCK and RC.RENEW as they stand on the wire. */
import { afterEach, beforeEach, expect, it } from 'vitest'
import { engineOf } from '../../src/cache/internal.ts'
import { binding, type NativeHandle } from '../../src/native/binding.ts'
import { openEmbedded, openTiered, type Placement } from '../support/stores.ts'
import { ErrorReply, Push, socketOf, Wire } from './support.ts'

let place: Placement
let one: Wire
let two: Wire

beforeEach(async () => {
  place = await openEmbedded()
  one = await Wire.open(socketOf(place.dir))
  two = await Wire.open(socketOf(place.dir))
})
afterEach(async () => {
  one.close()
  two.close()
  await place.end()
})

it('answers at once whose a lock is', async () => {
  const [word, token] = (await one.ask('RC.LOCK', 'ns', 'k', 5000)) as [string, string]
  expect([word, token]).toEqual(['locked', expect.stringMatching(/^\d{18}$/)])
  expect(await two.ask('RC.LOCK', 'ns', 'k', 5000)).toEqual(['held', process.pid, 5000])
  expect(await two.ask('RC.LOCK', 'other', 'k', 5000)).toEqual(['locked', expect.any(String)])
  expect(await two.ask('RC.RENEW', 'ns', 'k', token, 9000)).toBe(1)
  expect(await one.ask('RC.LOCK', 'ns', 'k', 5000)).toEqual(['held', process.pid, 9000])
  expect(await one.ask('RC.RENEW', 'ns', 'k', '1', 9000)).toBe(0)
  expect(await one.ask('RC.UNLOCK', 'ns', 'k', '1')).toBe(0)
  expect(await one.ask('RC.UNLOCK', 'ns', 'k', token)).toBe(1)
  expect(await one.ask('RC.UNLOCK', 'ns', 'k', token)).toBe(0)
})

it('pushes a lock to who stands in line, with its ticket, and holds nothing up meanwhile', async () => {
  const [, token] = (await one.ask('RC.LOCK', 'ns', 'k', 5000)) as [string, string]
  expect(await two.ask('RC.LOCK', 'ns', 'k', 5000, 'TICKET', 7)).toEqual(['queued', process.pid, 5000])
  expect(await two.ask('PING')).toBe('PONG')
  expect(await two.ask('RC.LOCK', 'ns', 'k', 5000, 'TICKET', 8)).toEqual(['queued', process.pid, 5000])
  expect(await two.ask('RC.UNLOCK', 'ns', 'k', 'TICKET', 8)).toBe(1)
  expect(await two.ask('RC.UNLOCK', 'ns', 'k', 'TICKET', 8)).toBe(0)
  expect(await one.ask('RC.UNLOCK', 'ns', 'k', token)).toBe(1)
  const push = (await two.read()) as Push
  expect(push).toBeInstanceOf(Push)
  expect(push.items).toEqual(['rc.lock', 7, expect.stringMatching(/^\d{18}$/)])
  expect((push.items[2] as string) > token).toBe(true)
  expect(await two.ask('RC.LOCK', 'ns', 'k', 5000, 'TICKET', 7)).toEqual(['locked', push.items[2]])
})

it('lets go of locks with the connection, and with RESET', async () => {
  await one.ask('RC.LOCK', 'ns', 'k', 5000)
  await two.ask('RC.LOCK', 'ns', 'k', 5000, 'TICKET', 1)
  await one.ask('RESET')
  expect(((await two.read()) as Push).items[1]).toBe(1)
  await one.ask('RC.LOCK', 'ns', 'k', 5000, 'TICKET', 2)
  two.close()
  expect(((await one.read()) as Push).items[1]).toBe(2)
})

it('refuses what makes no sense, and hides its records', async () => {
  for (const words of [
    ['RC.LOCK', 'ns', 'k', 0],
    ['RC.LOCK', 'ns', 'k', 'soon'],
    ['RC.LOCK', 'ns', '', 1],
    ['RC.LOCK', ' locks', 'k', 1],
    ['RC.LOCK', 'ns', 'k', 1, 'TICKET'],
    ['RC.LOCK', 'ns', 'k', 1, 'TICKET', -1],
    ['RC.UNLOCK', ' structures', 'k', 1],
    ['RC.RENEW', 'ns', 'k', 1, 0],
  ]) {
    expect(await one.ask(...words)).toBeInstanceOf(ErrorReply)
  }
  await one.ask('RC.LOCK', 'ns', 'k', 5000)
  for (const command of ['RC.GET', 'RC.SET', 'RC.DEL']) {
    const rest = command === 'RC.SET' ? [1, 'v'] : []
    expect(await two.ask(command, ' locks', '\0\x01k', ...rest)).toBeInstanceOf(ErrorReply)
  }
  expect(await two.ask('FLUSHALL')).toBe('OK')
  expect(await two.ask('RC.LOCK', 'ns', 'k', 5000)).toEqual(['held', process.pid, 5000])
})

it('writes nothing of a lock to the disk, and none outlives its store', async () => {
  await place.end()
  place = await openTiered()
  const { cache } = place
  const { native } = engineOf(cache) as unknown as { native: NativeHandle }
  const written = async () => {
    await cache.flush()
    return binding().logState(native).bytesWritten
  }
  await cache.set('entry', 1)
  const before = await written()
  for (let round = 0; round < 50; round++) await (await cache.lock('k')).release()
  await cache.lock('held', { ttl: '1h' })
  expect(await written()).toBe(before)
  await cache.delete('entry')
  expect(await written()).toBeGreaterThan(before)
  await place.chill()
  expect(await cache.tryLock('held')).toBe(undefined)
  place = await place.reopen()
  expect(await (await place.cache.lock('held')).release()).toBe(true)
})
