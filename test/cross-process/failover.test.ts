/** What becomes of those who have joined a store when its owner ends, dies or stands still. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { freshSeed, Prng } from '../../src/base/prng.ts'
import { checkStore, engineOf, homeOf } from '../../src/cache/internal.ts'
import { type Cache, connect, open } from '../../src/index.ts'
import { failure } from '../support/errors.ts'
import { Host } from '../support/hosts.ts'

const ramOnly = { tiers: { ssd: false as const }, memory: '8mb' }
const value = { list: [{ a: 1 }, { a: 2 }], when: new Date(5) }

let dir: string
let hosts: Host[]

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ramcache-'))
  hosts = []
})

afterEach(async () => {
  for (const host of hosts) await host.end()
  // Whoever opens the directory next takes over what a killed owner left, and removes it at close.
  const cache = await open({ dir, ...ramOnly, listen: false })
  await cache.close()
  rmSync(dir, { recursive: true, force: true })
})

async function startHost(options: object = ramOnly): Promise<Host> {
  const host = new Host()
  hosts.push(host)
  await host.run('open', dir, options)
  return host
}

/** Of the owner that this process knows, after a call that it has answered. */
async function ownerPid(cache: Cache): Promise<number> {
  await again(() => cache.touch('nothing'))
  return engineOf(cache).ownerPid
}

/** Until this process owns the store, and works with it as its own. */
async function owned(cache: Cache): Promise<void> {
  while ((await ownerPid(cache)) !== process.pid || homeOf(cache) === undefined) await nextTurn()
}

/** A signal is only on its way when `kill` returns. */
async function stop({ process }: Host): Promise<void> {
  process.kill('SIGSTOP')
  const state = () => readFileSync(`/proc/${process.pid}/stat`, 'latin1').split(') ')[1]
  while (!state()?.startsWith('T')) await nextTurn()
}

/** Until somebody is there to do it: a call may still go to the owner that was just killed. */
async function again<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call()
    } catch (error) {
      if ((error as { code?: string }).code !== 'ERR_RAMCACHE_UNAVAILABLE') throw error
    }
  }
}

describe('an owner that ends', () => {
  it.each(['closes', 'is killed'])(
    'when it %s, who has joined goes on with what was in memory',
    async (how) => {
      const host = await startHost()
      await using cache = await open({ dir, ...ramOnly })
      const inside = cache.namespace('inside')
      await cache.set('k', value)
      await inside.set('n', 41)
      expect(await ownerPid(cache)).toBe(host.process.pid)
      if (how === 'closes') await host.run('close', dir)
      else await host.end('SIGKILL')
      expect(await again(() => cache.set('after', value))).toBeDefined()
      await owned(cache)
      expect(cache.getSync('k')).toEqual(value)
      expect(await inside.incr('n')).toBe(42)
      expect(await cache.get('after')).toEqual(value)
      checkStore(cache)
    },
  )

  it('leaves what lies below RAM, too', async () => {
    const options = { tiers: {}, memory: '1mb' }
    const host = await startHost(options)
    await using cache = await open({ dir, ...options })
    const entries = Array.from({ length: 3000 }, (_, n): [string, string] => [`k${n}`, `${n}`.repeat(100)])
    for (let at = 0; at < entries.length; at += 50) await cache.setMany(entries.slice(at, at + 50))
    await host.end('SIGKILL')
    await again(() => cache.flush())
    await owned(cache)
    expect(await cache.getMany(entries.map(([key]) => key))).toEqual(new Map(entries))
  })

  it('gives way to one of those who have joined; the others follow it', async () => {
    const host = await startHost()
    const second = await startHost()
    await using cache = await open({ dir, ...ramOnly })
    await host.end('SIGKILL')
    for (let round = 0; round < 3; round++) {
      await again(() => second.run('call', dir, 'set', 'k', round))
      expect(await cache.get('k')).toBe(round)
      expect(await second.run('call', dir, 'incr', 'n', 1, { init: 0 })).toBe(round + 1)
    }
    expect([process.pid, second.process.pid]).toContain(await ownerPid(cache))
  })

  it('leaves a client that does not own waiting for the next one, for so long', async () => {
    const host = await startHost()
    await using cache = await connect(join(dir, 'ramcache.sock'), { ownerTimeout: 50 })
    await cache.set('k', value)
    await host.end('SIGKILL')
    const lost = await failure('ERR_RAMCACHE_UNAVAILABLE', () => cache.set('lost', 1))
    expect(lost.message).toMatch(/carried out/)
    const refused = await failure('ERR_RAMCACHE_UNAVAILABLE', () => cache.delete('k'))
    expect(refused.message).toMatch(/was not carried out.*50 ms/)
    expect(cache.getSync('k')).toEqual(value)
    expect(await cache.get('k')).toEqual(value)
    await startHost()
    // It connects again by itself; only when is not known.
    let isBack = false
    while (!isBack) isBack = await cache.set('back', 1).then(Boolean, () => false)
    expect(await cache.get('k')).toEqual(value)
  })
})

describe('an owner that stands still', () => {
  it('is waited for, and nobody takes its place', async () => {
    const host = await startHost()
    await using cache = await open({ dir, ...ramOnly })
    await cache.set('k', value)
    await stop(host)
    const write = cache.set('late', 1)
    for (let round = 0; round < 1000; round++) expect(await cache.get('k')).toEqual(value)
    const error = await failure('ERR_RAMCACHE_UNAVAILABLE', () => open({ dir, ...ramOnly, ownerTimeout: 50 }))
    expect(error.message).toContain('50 ms')
    await failure('ERR_RAMCACHE_LOCKED', () => open({ dir, ...ramOnly, listen: false }))
    expect(cache.getSync('late')).toBe(undefined)
    host.process.kill('SIGCONT')
    expect(await write).toBeDefined()
    expect(cache.getSync('late')).toBe(1)
    expect(await ownerPid(cache)).toBe(host.process.pid)
  })

  it('does not keep a cache from being closed', async () => {
    const host = await startHost()
    const cache = await open({ dir, ...ramOnly })
    await stop(host)
    const write = cache.set('k', 1)
    const told = failure('ERR_RAMCACHE_CLOSED', () => write)
    await cache.close({ timeout: 10 })
    await told
    host.process.kill('SIGCONT')
  })
})

it('nobody joins an owner that does not let them', async () => {
  await startHost({ ...ramOnly, listen: false })
  const error = await failure('ERR_RAMCACHE_LOCKED', () => open({ dir, ...ramOnly, ownerTimeout: '60s' }))
  expect(error.message).toContain('listen: false')
})

it('threads join like processes, and take over together', async () => {
  const workers = 3
  const count = 200
  const host = await startHost({ ...ramOnly, memory: '16mb' })
  const path = fileURLToPath(new URL('children/worker.mjs', import.meta.url))
  const started = Array.from({ length: workers }, (_, number) => {
    return new Worker(path, { workerData: { dir, number, count, workers } })
  })
  const message = (worker: Worker) =>
    new Promise<unknown>((resolve, reject) => {
      worker.once('message', resolve)
      worker.once('error', reject)
    })
  await Promise.all(started.map(message))
  expect(await host.run('call', dir, 'get', 'total')).toBe(workers * count)
  await host.end('SIGKILL')
  const seen = started.map(message)
  for (const worker of started) worker.postMessage('go on')
  expect(await Promise.all(seen)).toEqual(Array(workers).fill(workers * count))
  const exits = started.map((worker) => once(worker, 'exit'))
  for (const worker of started) worker.postMessage('close')
  for (const exit of exits) expect(await exit).toEqual([0])
})

it('what one process was told is written is read by every other one at once', async () => {
  const members = await Promise.all([startHost(), startHost(), startHost(), startHost()])
  await using cache = await open({ dir, ...ramOnly })
  for (let round = 0; round < 200; round++) {
    const writer = members[round % members.length] as Host
    const object = { round, text: 'x'.repeat(round) }
    await writer.run('call', dir, 'set', 'k', object)
    expect(cache.getSync('k')).toEqual(object)
    const seen = await Promise.all(members.map((member) => member.run('call', dir, 'getSync', 'k')))
    expect(seen).toEqual(members.map(() => object))
    await cache.incr('count', 1, { init: 0 })
    const counts = await Promise.all(members.map((member) => member.run('call', dir, 'getSync', 'count')))
    expect(counts).toEqual(members.map(() => round + 1))
  }
})

describe('eight processes, killed at random', () => {
  const memberCount = 8
  const kills = 10

  interface Message {
    readonly ready?: true
    readonly key: string
    readonly number: number
    readonly isInside: boolean
    readonly became: 'acknowledged' | 'unknown' | 'refused'
  }

  class Member {
    readonly process: ChildProcess
    readonly name: string
    next = 0
    problem: string | undefined
    onMessage = () => {}

    constructor(name: string, first: number, options: object, fates: Map<string, number>) {
      this.name = name
      this.next = first
      const path = fileURLToPath(new URL('children/member.mjs', import.meta.url))
      const args = [dir, name, `${first}`, JSON.stringify(options)]
      this.process = fork(path, args, { stdio: ['ignore', 'inherit', 'pipe', 'ipc'] })
      let errors = ''
      this.process.stderr?.on('data', (text) => {
        errors += text
      })
      this.process.on('exit', (code) => {
        if (code !== null && code !== 0) this.problem = `${name} ended with ${code}: ${errors}`
        this.onMessage()
      })
      this.process.on('message', (message: Message) => {
        if (message.ready === undefined) this.#note(message, fates)
        this.onMessage()
      })
    }

    #note({ key, number, isInside, became }: Message, fates: Map<string, number>): void {
      this.next = number + 1
      const name = `${isInside ? 'inside ' : ''}${key}`
      if (became === 'acknowledged') fates.set(name, number)
    }
  }

  it.each<[string, object]>([
    ['in memory alone', { tiers: { ssd: false }, memory: '8mb' }],
    ['above a disk', { tiers: {}, memory: '1mb' }],
  ])('lose nothing that was acknowledged, and never see half a value: %s', async (_, options) => {
    const seed = Number(process.env.RAMCACHE_TEST_SEED ?? freshSeed())
    const random = new Prng(seed)
    const fates = new Map<string, number>()
    const start = (number: number, first: number) => new Member(`m${number}`, first, options, fates)
    const members = Array.from({ length: memberCount }, (_, number) => start(number, 0))
    let messages = 0
    let wake = () => {}
    const listen = (member: Member) => {
      member.onMessage = () => {
        messages++
        wake()
      }
    }
    members.forEach(listen)
    const until = async (isSo: () => boolean) => {
      while (!isSo()) {
        for (const { problem } of members)
          if (problem !== undefined) throw new Error(`${problem} (seed ${seed})`)
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    }
    let cache: Cache | undefined
    try {
      for (let kill = 0; kill < kills; kill++) {
        const goal = messages + 50 + random.below(200)
        await until(() => messages >= goal)
        const number = random.below(memberCount)
        const victim = members[number] as Member
        const exit = once(victim.process, 'exit')
        victim.process.kill('SIGKILL')
        await exit
        // Numbers only grow, whatever it has not said any more.
        const next = start(number, victim.next + 1_000_000)
        members[number] = next
        listen(next)
      }
      const goal = messages + 500
      await until(() => messages >= goal)
      // Who closes last would take what is in memory with it.
      cache = await open({ dir, ...options, ownerTimeout: '60s' })
      // What they have said has come by then.
      const ends = members.map((member) => once(member.process, 'close'))
      for (const { process } of members) process.send('end')
      await Promise.all(ends)
      await until(() => true)
      expect(members.map(({ problem }) => problem)).toEqual(members.map(() => undefined))
      await owned(cache)
      checkStore(cache)
      expect(fates.size).toBeGreaterThan(200)
      const inside = cache.namespace('inside')
      for (const [name, acknowledged] of fates) {
        const isInside = name.startsWith('inside ')
        const space = isInside ? inside : cache
        const found = await space.get<{ number: number }>(isInside ? name.slice('inside '.length) : name)
        expect(found?.number, `${name} (seed ${seed})`).toBeGreaterThanOrEqual(acknowledged)
      }
    } finally {
      for (const { process } of members) if (process.exitCode === null) process.kill('SIGKILL')
      await cache?.close()
    }
  })
})
