/** The socket: where it is, whose it is, when it is there. */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { type Cache, type OpenOptions, open } from '../../src/index.ts'
import { socketOf, Wire } from './support.ts'

const dirs: string[] = []
const caches: Cache[] = []

function freshDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'ramcache-'))
  dirs.push(dir)
  return dir
}

async function start(dir: string, options: Partial<OpenOptions> = {}): Promise<Cache> {
  const cache = await open({ dir, memory: '8mb', tiers: { ssd: false }, ...options })
  caches.push(cache)
  return cache
}

afterEach(async () => {
  for (const cache of caches.splice(0)) await cache.close()
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true })
})

function threadNames(): string[] {
  return readdirSync('/proc/self/task').map((task) => {
    try {
      return readFileSync(`/proc/self/task/${task}/comm`, 'utf8').trim()
    } catch {
      // It has ended meanwhile.
      return ''
    }
  })
}

describe('the socket of a store', () => {
  it('is in its directory, for its user alone, and answers redis-cli', async () => {
    const dir = freshDir()
    const cache = await start(dir)
    const socket = socketOf(dir)
    expect(socket).toBe(join(dir, 'ramcache.sock'))
    expect(statSync(socket).mode & 0o777).toBe(0o600)
    const cli = (...args: string[]) =>
      execFileSync('redis-cli', ['-s', socket, ...args], { encoding: 'utf8' })
    expect(cli('ping')).toBe('PONG\n')
    expect(cli('set', 'greeting', 'hello')).toBe('OK\n')
    expect(await cache.get('greeting')).toBe('hello')
    await cache.set('number', 7)
    expect(cli('incrby', 'number', '3')).toBe('10\n')
    expect(await cache.get('number')).toBe(10)
  })

  it('is gone when the store is closed, and comes again', async () => {
    const dir = freshDir()
    const first = await start(dir)
    const wire = await Wire.open(socketOf(dir))
    expect(await wire.ask('PING')).toBe('PONG')
    await first.close()
    await wire.ended()
    expect(existsSync(join(dir, 'ramcache.sock'))).toBe(false)
    await start(dir)
    const again = await Wire.open(socketOf(dir))
    expect(await again.ask('PING')).toBe('PONG')
    again.close()
  })

  it('stays until the last user of the store in a process closes it', async () => {
    const dir = freshDir()
    const first = await start(dir)
    await start(dir)
    await first.close()
    const wire = await Wire.open(socketOf(dir))
    expect(await wire.ask('SET', 'a', 'b')).toBe('OK')
    wire.close()
  })

  it('is not there, nor any thread for it, with listen: false', async () => {
    const dir = freshDir()
    await start(dir, { listen: false })
    expect(existsSync(join(dir, 'ramcache.sock'))).toBe(false)
    expect(threadNames()).not.toContain('ramcache 0')
    await start(freshDir())
    // A thread gives itself its name.
    await expect.poll(threadNames).toContain('ramcache 0')
  })

  it('takes the place of one that a dead owner has left', async () => {
    const dir = freshDir()
    const script = `
      import { open } from ${JSON.stringify(new URL('../../dist/index.js', import.meta.url).href)}
      const cache = await open({ dir: ${JSON.stringify(dir)}, memory: '8mb', tiers: { ssd: false } })
      await cache.set('a', 'kept')
      process.kill(process.pid, 'SIGKILL')`
    const child = spawnSync(process.execPath, ['--input-type=module', '-e', script])
    expect(child.signal).toBe('SIGKILL')
    expect(existsSync(join(dir, 'ramcache.sock'))).toBe(true)
    await start(dir)
    const wire = await Wire.open(socketOf(dir))
    expect(await wire.ask('GET', 'a')).toBe('kept')
    wire.close()
  })

  it('is elsewhere on request', async () => {
    const path = join(freshDir(), 'other.sock')
    const dir = freshDir()
    await start(dir, { listen: path })
    expect(socketOf(dir)).toBe(path)
    const wire = await Wire.open(path)
    expect(await wire.ask('PING')).toBe('PONG')
    wire.close()
  })

  it('refuses a path where somebody else listens, or where something else is', async () => {
    const dir = freshDir()
    const taken = join(freshDir(), 'taken.sock')
    const other = createServer().listen(taken)
    await new Promise((listening) => other.once('listening', listening))
    await expect(start(dir, { listen: taken })).rejects.toMatchObject({
      code: 'ERR_RAMCACHE_UNAVAILABLE',
      message: expect.stringContaining('another process listens'),
    })
    await new Promise((closed) => other.close(closed))
    const file = join(freshDir(), 'file')
    writeFileSync(file, 'precious')
    await expect(start(dir, { listen: file })).rejects.toMatchObject({
      code: 'ERR_RAMCACHE_CONFIG',
      message: expect.stringContaining(file),
    })
    expect(statSync(file).size).toBe(8)
    const long = join(tmpdir(), 'x'.repeat(120))
    await expect(start(dir, { listen: long })).rejects.toMatchObject({
      code: 'ERR_RAMCACHE_CONFIG',
      message: expect.stringContaining('107'),
    })
    // None of these has kept the directory.
    await start(dir)
  })

  it('has a short path of this user alone when that of the directory is too long', async () => {
    const dir = join(freshDir(), 'd'.repeat(100))
    mkdirSync(dir)
    await start(dir)
    const socket = socketOf(dir)
    expect(socket.startsWith(tmpdir())).toBe(true)
    expect(statSync(join(socket, '..')).mode & 0o777).toBe(0o700)
    const wire = await Wire.open(socket)
    expect(await wire.ask('PING')).toBe('PONG')
    wire.close()
  })
})
