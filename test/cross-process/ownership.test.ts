/** Who owns a directory, what others see of it, and what an owner that dies leaves behind. */
import { execFileSync, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { attach, open } from '../../src/index.ts'
import { failure } from '../support/errors.ts'
import { OwnerProcess } from '../support/processes.ts'

let dir: string
const children: OwnerProcess[] = []

async function startOwner(...args: string[]): Promise<OwnerProcess> {
  const owner = await OwnerProcess.start(dir, ...args)
  children.push(owner)
  return owner
}

function arenaFiles(): { data: string; touch: string; pid: number } {
  return JSON.parse(readFileSync(join(dir, 'owner'), 'utf8'))
}

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ramcache-'))
})

afterEach(async () => {
  for (const child of children.splice(0)) if (child.isRunning) await child.kill('SIGKILL')
  // Whoever opens the directory next takes over what a killed owner left, and removes it at close.
  const cache = await open({ dir, tiers: { ssd: false }, memory: '1mb' })
  await cache.close()
  rmSync(dir, { recursive: true, force: true })
})

describe('two processes', () => {
  it('the second one to open gets ERR_RAMCACHE_LOCKED when it may not join, and the first one goes on', async () => {
    const owner = await startOwner()
    expect(owner.first).toEqual({ value: 'ready' })
    const error = await failure('ERR_RAMCACHE_LOCKED', () =>
      open({ dir, tiers: { ssd: false }, memory: '8mb', listen: false }),
    )
    expect(error.message).toContain(String(owner.process.pid))
    expect(await owner.call('add', 'k', 'v')).toEqual({ value: true })
  })

  it('an attached process reads each acknowledged write of the owner', async () => {
    const owner = await startOwner()
    await using reader = await attach({ dir })
    for (let round = 0; round < 200; round++) {
      const value = { round, list: [round, `text ${round}`], nested: { at: new Date(round) } }
      await owner.call('set', 'object', value)
      // Messages between processes turn a Date into text; what was stored is what the child was sent.
      expect(reader.getSync('object')).toEqual(JSON.parse(JSON.stringify(value)))
      await owner.call('set', `text:${round}`, `value ${round}`, { ttl: '1h' })
      expect(reader.getSync(`text:${round}`)).toBe(`value ${round}`)
    }
    await owner.call('clear')
    expect(reader.getSync('object')).toBe(undefined)
    expect((await reader.stats()).owner.pid).toBe(owner.process.pid)
  })

  it('sees a group of writes whole or not at all', async () => {
    const owner = await startOwner()
    await using reader = await attach({ dir })
    const keys = ['a', 'b', 'c', 'd']
    const groupOf = (round: number) => keys.map((key) => [key, round])
    await owner.call('setMany', groupOf(0))
    let isWriting = true
    const writing = (async () => {
      for (let round = 1; round <= 300; round++) await owner.call('setMany', groupOf(round))
      isWriting = false
    })()
    let views = 0
    while (isWriting) {
      const values = [...(await reader.getMany(keys)).values()]
      expect(values).toHaveLength(4)
      expect(new Set(values).size).toBe(1)
      views++
      // Messages of the child can only arrive between two turns of the event loop.
      await new Promise(setImmediate)
    }
    await writing
    expect(views).toBeGreaterThan(0)
  })
})

describe('an owner that is killed', () => {
  it('leaves its last state to those who are attached, and its arena to the next owner', async () => {
    const owner = await startOwner()
    await owner.call('set', 'k', 'v')
    const object = { list: [1, 'two'], nested: { text: 'x'.repeat(5000) } }
    await owner.call('setMany', [
      ['object', object],
      ['gone', 1],
    ])
    await owner.call('delete', 'gone')
    await owner.call('set', 'timed', 1, { ttl: '1h' })
    await using reader = await attach({ dir })
    const { data, touch } = arenaFiles()
    await owner.kill('SIGKILL')
    expect(reader.getSync('k')).toBe('v')
    expect(existsSync(data)).toBe(true)
    await failure('ERR_RAMCACHE_UNAVAILABLE', () => attach({ dir }))
    // Another process first, which is killed too; then this one.
    const second = await startOwner()
    expect(await second.call('get', 'object')).toEqual({ value: object })
    await second.call('set', 'k', 'v2')
    expect(reader.getSync('k')).toBe('v2')
    await second.kill('SIGKILL')
    await using next = await open({ dir, tiers: { ssd: false }, memory: '8mb' })
    expect(arenaFiles()).toMatchObject({ data, touch, pid: process.pid })
    expect(await next.get('k')).toBe('v2')
    expect(await next.get('object')).toEqual(object)
    expect(await next.get('gone')).toBe(undefined)
    expect(((await next.getEntry('timed'))?.expiresAt ?? 0) > Date.now()).toBe(true)
    await next.set('k', 'v3')
    expect(reader.getSync('k')).toBe('v3')
    expect((await reader.stats()).owner.pid).toBe(process.pid)
    await next.close()
    expect(existsSync(data) || existsSync(touch)).toBe(false)
  })

  it('takes anonymous memory with it', async () => {
    const owner = await startOwner('8mb', '/proc')
    await owner.call('set', 'k', 'v')
    await owner.kill('SIGKILL')
    await using next = await open({ dir, tiers: { ssd: false }, memory: '8mb' })
    expect(await next.get('k')).toBe(undefined)
  })

  it('cannot be replaced by a budget its arena does not serve: the next owner begins empty', async () => {
    const owner = await startOwner('1mb')
    await owner.call('set', 'k', 'v')
    const { data } = arenaFiles()
    await owner.kill('SIGKILL')
    await using next = await open({ dir, tiers: { ssd: false }, memory: '64mb' })
    expect(await next.get('k')).toBe(undefined)
    expect(existsSync(data)).toBe(false)
  })

  it('a stopped owner keeps its directory', async () => {
    const owner = await startOwner()
    owner.process.kill('SIGSTOP')
    const options = { dir, tiers: { ssd: false as const }, memory: '8mb', listen: false as const }
    await failure('ERR_RAMCACHE_LOCKED', () => open(options))
    owner.process.kill('SIGCONT')
    expect(await owner.call('add', 'k', 'v')).toEqual({ value: true })
  })

  it('one that closes tells its readers', async () => {
    const owner = await startOwner()
    await owner.call('set', 'k', 'v')
    await using reader = await attach({ dir })
    expect(reader.getSync('k')).toBe('v')
    const { data } = arenaFiles()
    await owner.call('close')
    await failure('ERR_RAMCACHE_CLOSED', () => reader.get('k'))
    expect(existsSync(data)).toBe(false)
  })
})

describe('worker threads', () => {
  it('share one store and its structures', async () => {
    const workers = 3
    const count = 300
    await using cache = await open({ dir, tiers: { ssd: false }, memory: '16mb' })
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
    expect(await cache.get('total')).toBe(workers * count)
    const seen = started.map(message)
    for (const worker of started) worker.postMessage('go on')
    expect(await Promise.all(seen)).toEqual(Array(workers).fill(workers * count))
    expect(cache.getSync<{ index: number }>('w1:7')?.index).toBe(7)
    const exits = started.map((worker) => once(worker, 'exit'))
    for (const worker of started) worker.postMessage('close')
    for (const exit of exits) expect(await exit).toEqual([0])
  })
})

describe('directories and memory that cannot be used', () => {
  it('a directory below a file', async () => {
    const file = join(dir, 'file')
    writeFileSync(file, '')
    const below = join(file, 'store')
    const error = await failure('ERR_RAMCACHE_UNAVAILABLE', () =>
      open({ dir: below, tiers: { ssd: false }, memory: '8mb' }),
    )
    expect(error.message).toContain(below)
  })

  it('a directory without permission', () => {
    const closed = join(dir, 'closed')
    mkdirSync(closed)
    chmodSync(closed, 0o500)
    const index = new URL('../../dist/index.js', import.meta.url).href
    // Root may write anywhere, so another user tries.
    const script = `
      if (process.getuid() === 0) { process.setgroups([]); process.setgid(65534); process.setuid(65534) }
      const { open } = await import(${JSON.stringify(index)})
      await open({ dir: ${JSON.stringify(join(closed, 'store'))}, memory: '8mb' })
        .then(() => console.log('opened'), (error) => console.log(error.code))`
    chmodSync(dir, 0o755)
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script])
    expect(`${stdout}${stderr}`.trim()).toBe('ERR_RAMCACHE_UNAVAILABLE')
  })

  it('a tmpfs too small for the budget: the arena is anonymous memory, and others can still attach', async () => {
    // No tmpfs is needed to be out of room on one: a file system that reports nothing free is enough.
    const owner = await startOwner('8mb', '/proc')
    expect(owner.first).toEqual({ value: 'ready' })
    expect(arenaFiles().data).toMatch(/^\/proc\/\d+\/fd\/\d+$/)
    await owner.call('set', 'k', 'v')
    await using reader = await attach({ dir })
    expect(reader.getSync('k')).toBe('v')
  })

  it('files that are not an arena', async () => {
    const forged = join(dir, 'forged')
    writeFileSync(forged, Buffer.alloc(1 << 16, 7))
    // What is looked at belongs to a live owner as far as the lock says.
    await using _owner = await open({ dir, tiers: { ssd: false }, memory: '1mb' })
    writeFileSync(join(dir, 'owner'), JSON.stringify({ pid: 1, data: forged, touch: forged }))
    await failure('ERR_RAMCACHE_CORRUPT', () => attach({ dir }))
    writeFileSync(join(dir, 'owner'), 'no json')
    await failure('ERR_RAMCACHE_CORRUPT', () => attach({ dir }))
    rmSync(join(dir, 'owner'))
    await failure('ERR_RAMCACHE_UNAVAILABLE', () => attach({ dir }))
  })

  it('memory stays within the budget at ten times the data', async () => {
    const memoryBytes = 16 << 20
    const shared = () => {
      const status = execFileSync('cat', [`/proc/${owner.process.pid}/status`], { encoding: 'utf8' })
      return Number(/^RssShmem:\s+(\d+) kB/m.exec(status)?.[1]) * 1024
    }
    const owner = await startOwner('16mb')
    const value = 'x'.repeat(1000)
    for (let start = 0; start < 160_000; start += 2000) {
      const group = Array.from({ length: 2000 }, (_, index) => [`key:${start + index}`, value])
      expect(await owner.call('setMany', group)).toEqual({})
    }
    const { value: stats } = await owner.call('stats')
    const { ram } = (stats as { tiers: { ram: { entries: number; evictions: number } } }).tiers
    expect(ram.entries).toBeGreaterThan(12_000)
    expect(ram.entries + ram.evictions).toBe(160_000)
    expect(shared()).toBeLessThanOrEqual(memoryBytes * 1.1)
  })
})
