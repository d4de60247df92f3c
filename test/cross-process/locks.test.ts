/** Locks over several processes, and the end of those that hold them. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { checkStore, engineOf, homeOf } from '../../src/cache/internal.ts'
import { type Cache, connect, open } from '../../src/index.ts'
import { failure } from '../support/errors.ts'
import { Host } from '../support/hosts.ts'

const ramOnly = { tiers: { ssd: false as const }, memory: '8mb' }

let dir: string
let children: ChildProcess[]
let hosts: Host[]

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ramcache-'))
  children = []
  hosts = []
})

afterEach(async () => {
  for (const child of children) await kill(child)
  for (const host of hosts) await host.end()
  const cache = await open({ dir, ...ramOnly, listen: false })
  await cache.close()
  rmSync(dir, { recursive: true, force: true })
})

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.kill('SIGKILL')
  await exit
}

async function startHost(what: 'open' | 'connect', argument: unknown): Promise<Host> {
  const host = new Host()
  hosts.push(host)
  await host.run(what, dir, argument)
  return host
}

/** Until this process owns the store, and works with it as its own. */
async function owned(cache: Cache): Promise<void> {
  for (;;) {
    await cache.touch('nothing').catch(() => {})
    if (engineOf(cache).ownerPid === process.pid && homeOf(cache) !== undefined) return
    await nextTurn()
  }
}

describe('eight processes', () => {
  it('have a lock one at a time and in turn', async () => {
    const [processes, rounds] = [8, 60]
    for (let number = 0; number < processes; number++) {
      const path = fileURLToPath(new URL('children/locker.mjs', import.meta.url))
      const child = fork(path, [dir, String(rounds), JSON.stringify(ramOnly)], {
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      })
      children.push(child)
      await once(child, 'message')
    }
    const answers = children.map((child) => once(child, 'message'))
    for (const child of children) child.send('go')
    const tokens = (await Promise.all(answers)).map(([{ tokens }]) => tokens as string[])
    await using cache = await connect(`unix://${join(dir, 'ramcache.sock')}`)
    expect(await cache.get('number')).toBe(processes * rounds)
    const inOrder = tokens.flatMap((own, who) => own.map((token) => ({ token, who })))
    inOrder.sort((one, other) => (one.token < other.token ? -1 : 1))
    expect(new Set(inOrder.map(({ token }) => token)).size).toBe(processes * rounds)
    for (const own of tokens) expect(own).toEqual(own.toSorted())
    // Who stands in line is overtaken by nobody: between two turns of one process each of the others has one or two.
    for (let who = 0; who < processes; who++) {
      const places = inOrder.flatMap((turn, place) => (turn.who === who ? [place] : []))
      const gaps = places.slice(1).map((place, at) => place - (places[at] as number))
      expect(Math.max(...gaps)).toBeLessThanOrEqual(2 * processes)
    }
  })
})

describe('kill -9', () => {
  it('of a process that holds a lock gives it to who waits', async () => {
    await using cache = await open({ dir, ...ramOnly })
    const joined = await startHost('open', ramOnly)
    const { token } = (await joined.run('call', dir, 'lock', 'k', { ttl: '1h' })) as { token: string }
    const error = await failure('ERR_RAMCACHE_LOCKED', () => cache.lock('k', { wait: 1 }))
    expect(error.message).toContain(`process ${joined.process.pid}`)
    const waiting = cache.lock('k', { wait: '10m' })
    await joined.end('SIGKILL')
    await using lease = await waiting
    expect(lease.token > token).toBe(true)
    checkStore(cache)
  })

  it('of the owner ends what it held itself, and nothing else', async () => {
    const owner = await startHost('open', ramOnly)
    await owner.run('call', dir, 'lock', 'of the owner', { ttl: '1h' })
    await using cache = await open({ dir, ...ramOnly })
    const held = await cache.lock('of this one', { ttl: '1h' })
    const waiting = cache.lock('of the owner', { wait: '10m' })
    await failure('ERR_RAMCACHE_LOCKED', () => cache.lock('of the owner', { wait: 1 }))
    await owner.end('SIGKILL')
    await using lease = await waiting
    expect(lease.token > held.token).toBe(true)
    await owned(cache)
    await using other = await connect(`unix://${join(dir, 'ramcache.sock')}`)
    expect(await other.tryLock('of this one')).toBe(undefined)
    await held.renew()
    expect(await held.release()).toBe(true)
    const next = await other.lock('of this one')
    expect(next.token > lease.token).toBe(true)
    expect(await cache.tryLock('of the owner')).toBe(undefined)
    checkStore(cache)
  })

  it('of a process that waits gives its turn to the next', async () => {
    await using cache = await open({ dir, ...ramOnly })
    const waiter = await startHost('connect', `unix://${join(dir, 'ramcache.sock')}`)
    const lease = await cache.lock('k')
    const lost = waiter.run('call', dir, 'lock', 'k', { wait: '10m' }).catch(() => 'ended')
    // Carried out behind the lock that it has asked for.
    await waiter.run('call', dir, 'set', 'asked', 1)
    const next = cache.lock('k', { wait: '10m' })
    await waiter.end('SIGKILL')
    expect(await lost).toBe('ended')
    await lease.release()
    await (await next).release()
  })
})
