/** Channels of `node:diagnostics_channel`: what they say, and that nothing is made for nobody. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, it, vi } from 'vitest'
import { connect } from '../../src/index.ts'
import { type EventName, type Events, hasListeners, publish } from '../../src/observe/events.ts'
import { DaemonProcess } from '../daemon/support.ts'
import { openTiered, type Placement } from '../support/stores.ts'

const ends: (() => unknown)[] = []
let placement: Placement | undefined

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
  await placement?.end()
  placement = undefined
})

function listen<N extends EventName>(name: N): Events[N][] {
  const heard: Events[N][] = []
  const hear = (message: unknown) => heard.push(message as Events[N])
  subscribe(name, hear)
  ends.push(() => unsubscribe(name, hear))
  return heard
}

it('makes a message only when somebody listens', () => {
  const message = vi.fn(() => ({ socket: 's', pid: 1 }))
  publish('ramcache:owner:found', message)
  expect(message).not.toHaveBeenCalled()
  expect(hasListeners('ramcache:owner:found')).toBe(false)
  const heard = listen('ramcache:owner:found')
  publish('ramcache:owner:found', message)
  expect(heard).toEqual([{ socket: 's', pid: 1 }])
})

it('says what became of a read that RAM could not answer, and of no other', async () => {
  const owned = listen('ramcache:own')
  placement = await openTiered()
  expect(owned).toEqual([{ dir: placement.dir, start: 'fresh' }])
  const cold = listen('ramcache:read:cold')
  const { cache } = placement
  const space = cache.namespace('n')
  for (const key of ['a', 'b', 'c']) await space.set(key, key)
  await space.get('a')
  await space.has('b')
  expect(cold).toEqual([])
  const filler = cache.namespace('filler')
  while (
    space.getSync('a') !== undefined ||
    space.getSync('b') !== undefined ||
    space.getSync('c') !== undefined
  ) {
    for (let n = 0; n < 1000; n++) await filler.set(`f${n}`, Buffer.alloc(2000))
  }
  const key = Buffer.from('b')
  const reads = [space.get('a'), space.getEntry(key), space.has('c')]
  key.fill('x')
  expect((await Promise.all(reads)).map((found) => (found as { key?: string }).key ?? found)).toEqual([
    'a',
    'b',
    true,
  ])
  const shared = { namespace: 'n', isHit: true, error: undefined, ms: expect.any(Number) }
  expect(cold.sort((left, right) => left.method.localeCompare(right.method))).toEqual([
    { ...shared, method: 'get', key: 'a' },
    { ...shared, method: 'getEntry', key: Uint8Array.from(Buffer.from('b')) },
    { ...shared, method: 'has', key: 'c' },
  ])
  for (const { ms } of cold) expect(ms).toBeGreaterThan(0)
})

it('says when a client loses its owner and finds the next', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ramcache-'))
  ends.push(() => rmSync(folder, { recursive: true, force: true }))
  const args = ['--dir', join(folder, 'store'), '--memory', '8mb']
  const first = await DaemonProcess.start(args)
  const [found, lost] = [listen('ramcache:owner:found'), listen('ramcache:owner:lost')]
  const cache = await connect(`unix://${first.socket}`, { ownerTimeout: '60s' })
  ends.push(() => cache.close())
  expect(found).toEqual([{ socket: first.socket, pid: first.process.pid }])
  await first.end('SIGKILL')
  await vi.waitFor(() => expect(lost).toEqual([{ socket: first.socket, why: expect.any(String) }]), 60_000)
  const second = await DaemonProcess.start(args)
  ends.push(() => second.end('SIGTERM'))
  await cache.set('k', 1)
  expect(found.slice(1)).toEqual([{ socket: first.socket, pid: second.process.pid }])
  expect(lost).toHaveLength(1)
})
