/** The verbs that look at a daemon while it is used: hot, slow, latency, bench; what they show is what was done. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Cache, connect, open } from '../../src/index.ts'
import { cli, DaemonProcess } from '../daemon/support.ts'

const env = { RAMCACHE_DIR: '', RAMCACHE_SOCKET: '', RAMCACHE_URL: '' }
let folder: string
let daemon: DaemonProcess
let cache: Cache
const run = (verb: string, ...args: string[]) => cli([verb, '-d', join(folder, 'store'), ...args], env)

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ramcache-'))
  daemon = await DaemonProcess.start(['--dir', join(folder, 'store'), '--memory', '8mb'])
  cache = await connect(`unix://${daemon.socket}`)
})

afterAll(async () => {
  await cache.close()
  await daemon.end('SIGTERM')
  rmSync(folder, { recursive: true, force: true })
})

/** Reads on and on until the work is done. */
async function whileReading<T>(read: (turn: number) => void, work: () => Promise<T>): Promise<T> {
  let isOver = false
  const result = work().finally(() => {
    isOver = true
  })
  for (let turn = 0; !isOver; turn++) {
    for (let count = 0; count < 200; count++) read(turn * 200 + count)
    await new Promise((resolve) => setImmediate(resolve))
  }
  return result
}

const linesOf = (stdout: string) =>
  stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))

it('hot: what a near cache answers counts like what is looked up', async () => {
  const other = cache.namespace('other')
  // A number is kept by the near cache, an object never: it is read out of shared memory each time.
  await cache.set('near', 1)
  await cache.set('looked up', { a: 1 })
  await other.set('seldom', { b: 1 })
  // A fixed order that a sample every 64 reads would always meet at the same place.
  const read = (turn: number) => {
    if (turn % 64 < 32) cache.getSync('near')
    else if (turn % 64 < 60) cache.getSync('looked up')
    else other.getSync('seldom')
  }
  const { code, stdout } = await whileReading(read, () => run('hot', '--json', '--seconds', '2'))
  expect(code).toBe(0)
  const keys = linesOf(stdout)
  const of = (key: string) => keys.find((found) => found.key === key)
  expect(keys.map(({ key }) => key).sort()).toEqual(['looked up', 'near', 'seldom'])
  for (const [key, share] of [
    ['near', 32 / 64],
    ['looked up', 28 / 64],
    ['seldom', 4 / 64],
  ] as const) {
    const { error, readsPerSecond, share: found } = of(key)
    // Five standard errors: of a few million runs one fails by chance.
    expect(Math.abs(found - share)).toBeLessThan(5 * (error / readsPerSecond) * found + 0.02)
  }
  expect(of('seldom').namespace).toBe('other')
  const only = await whileReading(read, () => run('hot', '-n', 'other', '--seconds', '1'))
  expect(only.stdout).toMatch(/^key +reads\/s .*\nseldom +\d+ .* other\n$/)
})

it('hot: exit code 1 when nothing is read, 2 for what is no time', async () => {
  expect(await run('hot', '--seconds', '0.05')).toMatchObject({ code: 1, stdout: '' })
  expect(await run('hot', '--seconds', 'long')).toMatchObject({ code: 2 })
  expect(await run('hot', '--limit', '0')).toMatchObject({ code: 2 })
})

it('slow: what the server remembers, and that it forgets', async () => {
  await daemon.talk('SLOWLOG RESET')
  expect(await run('slow')).toMatchObject({ code: 1, stdout: '' })
  await daemon.talk('CONFIG SET slowlog-log-slower-than 0', 'CLIENT SETNAME worker', 'GET first', 'GET "a b"')
  await daemon.talk('CONFIG SET slowlog-log-slower-than -1')
  const found = linesOf((await run('slow', '--json')).stdout)
  const gets = found.filter(({ command }) => command[0] === 'GET')
  expect(gets.map(({ command }) => command)).toEqual([
    ['GET', 'a b'],
    ['GET', 'first'],
  ])
  expect(gets[0]).toMatchObject({ client: 'worker', id: expect.any(Number), us: expect.any(Number) })
  expect(Math.abs(gets[0].at - Date.now())).toBeLessThan(600_000)
  expect((await run('slow', '--limit', '4')).stdout).toMatch(/Z +[\d.]+ ms {2}\[worker\] GET "a b"\n/)
  expect(await run('slow', '--reset', '--json')).toMatchObject({ code: 0, stdout: '{"reset":true}\n' })
  expect((await run('slow')).code).toBe(1)
})

it('latency: round trips, gets and sets, and each command that ran', async () => {
  await daemon.talk('CONFIG RESETSTAT', ...Array.from({ length: 50 }, () => 'STRLEN counted'))
  const found = JSON.parse((await run('latency', '--json', '--count', '100')).stdout)
  expect(found.commands.strlen.calls).toBe(50)
  expect(found.commands.ping.calls).toBe(101)
  expect(found.commands.append).toBe(undefined)
  for (const { p50Us, p99Us, maxUs } of [found.roundTrip, found.commands.strlen]) {
    expect(p50Us).toBeGreaterThan(0)
    expect(p99Us).toBeGreaterThanOrEqual(p50Us)
    expect(maxUs).toBeGreaterThanOrEqual(p99Us)
  }
  expect(found.get).toEqual(expect.objectContaining({ p999Us: expect.any(Number) }))
  expect((await run('latency', '--count', '10')).stdout).toMatch(/^round trip from here +10 /m)
})

it('bench: a daemon, and a directory that nobody has open; nothing of it is left', async () => {
  const small = ['--requests', '500', '--keys', '50', '--size', '100', '--clients', '4', '--json']
  const dir = join(folder, 'closed')
  await (await open({ dir, memory: '8mb', listen: false })).close()
  for (const result of [await run('bench', ...small), await cli(['bench', '-d', dir, ...small], env)]) {
    expect(result.code).toBe(0)
    const rows = linesOf(result.stdout)
    expect(rows.map(({ kind, requests, misses }) => [kind, requests, misses])).toEqual([
      ['set', 500, 0],
      ['get', 500, 0],
    ])
    for (const row of rows) {
      expect(row.requestsPerSecond).toBeCloseTo(500 / row.seconds, 5)
      expect(row.p50Us).toBeGreaterThan(0)
      expect(row.p999Us).toBeLessThanOrEqual(row.maxUs)
    }
  }
  const { namespaces } = await cache.stats()
  const benched = Object.entries(namespaces).filter(([name]) => name.startsWith('bench-'))
  expect(benched.map(([, { entries }]) => entries)).toEqual([0])
  expect((await run('bench', '--only', 'get', ...small)).stdout).toMatch(/^\{"kind":"get"[^\n]*\n$/)
  expect(await run('bench', '--only', 'all')).toMatchObject({ code: 2 })
  expect(await run('bench', '-n', 'mine')).toMatchObject({ code: 2 })
})

it('ends with 69 where nobody has the store open', async () => {
  const dir = join(folder, 'nobody')
  await (await open({ dir, memory: '8mb', listen: false })).close()
  for (const verb of ['hot', 'slow', 'latency']) {
    expect(await cli([verb, '-d', dir], env)).toMatchObject({ code: 69, stdout: '' })
  }
})

it('says of an owner that is stopped how it goes on, and ends with 69', async () => {
  const dir = join(folder, 'stopped')
  const owner = await DaemonProcess.start(['--dir', dir, '--memory', '8mb'])
  const pid = owner.process.pid as number
  process.kill(pid, 'SIGSTOP')
  try {
    for (const verb of ['ping', 'stats']) {
      const { code, stdout, stderr } = await cli([verb, '-d', dir], env)
      expect({ code, stdout }).toEqual({ code: 69, stdout: '' })
      expect(stderr).toContain(
        `process ${pid}, which has the store open, is stopped: kill -CONT ${pid} lets it go on`,
      )
    }
  } finally {
    process.kill(pid, 'SIGCONT')
  }
  expect((await cli(['ping', '-d', dir], env)).stdout).toMatch(/^PONG/)
  await owner.end('SIGTERM')
})
