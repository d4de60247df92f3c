/** `connect()` to daemons over TCP and TLS: what is different from a socket of this machine. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Cache, type ConnectOptions, connect } from '../../src/index.ts'
import { cli, DaemonProcess, portOf } from '../daemon/support.ts'
import { Authority } from '../support/certificates.ts'
import { failure } from '../support/errors.ts'

const password = 'open sesame'
const authority = new Authority()
const server = authority.sign('server')
let folder: string
let passwordFile: string
const daemons: DaemonProcess[] = []
const caches: Cache[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ramcache-'))
  passwordFile = join(folder, 'password')
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 })
})

afterEach(async () => {
  for (const cache of caches.splice(0)) await cache.close({ timeout: 0 })
  for (const daemon of daemons.splice(0)) await daemon.end('SIGTERM')
  rmSync(folder, { recursive: true, force: true })
})

afterAll(() => authority.remove())

async function serve(dir: string, ...args: string[]): Promise<DaemonProcess> {
  const tcp = ['--port', '0', '--password-file', passwordFile]
  const daemon = await DaemonProcess.start(['--dir', join(folder, dir), '--memory', '8mb', ...tcp, ...args])
  daemons.push(daemon)
  return daemon
}

async function client(url: string, options?: ConnectOptions): Promise<Cache> {
  const cache = await connect(url, options)
  caches.push(cache)
  return cache
}

/** A value whose names are worth sharing. */
function row(number: number, field: string) {
  return { id: number, [field]: `value ${number}`, deep: { [`${field}Deep`]: [number] } }
}

describe('over TCP', () => {
  it('objects that were stored with shared structures are read, of tables that grow too', async () => {
    const daemon = await serve('store')
    const near = await client(daemon.socket)
    const far = await client(`redis://:${encodeURIComponent(password)}@127.0.0.1:${await portOf(daemon)}`)
    for (const field of ['first', 'second', 'third']) {
      for (let number = 0; number < 20; number++) await near.set(`k${number}`, row(number, field))
      for (let number = 0; number < 20; number++) {
        expect(await far.get(`k${number}`)).toEqual(row(number, field))
        expect((await far.getEntry(`k${number}`))?.value).toEqual(row(number, field))
      }
      expect((await far.getMany(['k1', 'k2', 'none'])).size).toBe(2)
    }
    // And what is written from afar is the same to all.
    await far.set('far', row(1, 'far'))
    expect(near.getSync('far')).toEqual(row(1, 'far'))
    expect(far.getSync('far')).toBe(undefined)
    expect(await far.get('far', { frozen: true })).toSatisfy(Object.isFrozen)
  })

  it('structures of a store are never used for the one that takes its place', async () => {
    const config = join(folder, 'ramcache.json')
    writeFileSync(config, '{ "tiers": { "ssd": false } }')
    const first = await serve('store', '--config', config)
    const port = await portOf(first)
    const far = await client(`redis://127.0.0.1:${port}`, { password })
    const fill = async (daemon: DaemonProcess, field: string) => {
      const near = await client(daemon.socket)
      for (let number = 0; number < 10; number++) await near.set('k', row(number, field))
      await near.close()
    }
    await fill(first, 'before')
    expect(await far.get('k')).toEqual(row(9, 'before'))
    await first.end('SIGTERM')
    const second = await serve('store', '--config', config, '--port', String(port))
    await fill(second, 'after')
    await expect.poll(() => far.get('k')).toEqual(row(9, 'after'))
  })

  it('counts are those of the owner, and none twice', async () => {
    const daemon = await serve('store')
    const far = await client(`redis://127.0.0.1:${await portOf(daemon)}`, { password })
    await far.set('k', 1)
    const before = await far.stats()
    await far.get('k')
    await far.get('none')
    far.getSync('k')
    const after = await far.stats()
    expect([after.hits - before.hits, after.misses - before.misses]).toEqual([1, 1])
  })

  it('who does not have the password is told so', async () => {
    const url = `redis://127.0.0.1:${await portOf(await serve('store'))}`
    const without = await failure('ERR_RAMCACHE_UNAVAILABLE', () => connect(url))
    expect(without.message).toContain('NOAUTH')
    const wrong = await failure('ERR_RAMCACHE_UNAVAILABLE', () => connect(url, { password: 'wrong' }))
    expect(wrong.message).toContain('WRONGPASS')
  })

  it('the command line reads and writes, with the password in a file', async () => {
    const port = await portOf(await serve('store'))
    const env = { RAMCACHE_PASSWORD_FILE: passwordFile }
    const url = `redis://127.0.0.1:${port}`
    expect(await cli(['set', 'k', 'value', '-s', url], env)).toMatchObject({ code: 0, stderr: '' })
    expect((await cli(['get', 'k'], { ...env, RAMCACHE_URL: url })).stdout).toBe('value\n')
    expect((await cli(['scan', '-s', url], env)).stdout).toContain('k')
    expect(await cli(['get', 'k', '-s', url])).toMatchObject({ code: 69, stdout: '' })
  })
})

describe('over TLS', () => {
  const tls = ['--tls-cert', server.cert, '--tls-key', server.key]

  it('the daemon is believed when somebody known vouches for its name', async () => {
    const url = `rediss://localhost:${await portOf(await serve('store', ...tls, '--host', 'localhost'))}`
    const far = await client(url, { password, tls: { ca: authority.bytes } })
    const value = Buffer.alloc(900_000, 'x')
    await far.set('k', value)
    expect(await far.get('k')).toEqual(value)
    const stranger = await failure('ERR_RAMCACHE_UNAVAILABLE', () => connect(url, { password }))
    expect(stranger.message).toContain('certificate')
    const other = { ca: authority.bytes, servername: 'other' }
    const misnamed = await failure('ERR_RAMCACHE_UNAVAILABLE', () => connect(url, { password, tls: other }))
    expect(misnamed.message).toContain('other')
    await failure('ERR_RAMCACHE_CONFIG', () => connect(url, { tls: { cert: 'none', key: 'none' } }))
    const trusting = await client(url, { password, tls: { rejectUnauthorized: false } })
    expect(await trusting.has('k')).toBe(true)
  })

  it('a client is believed for its certificate', async () => {
    const daemon = await serve('store', ...tls, '--tls-ca', authority.ca)
    const url = `rediss://127.0.0.1:${await portOf(daemon)}`
    const own = authority.sign('client')
    const [cert, key] = [readFileSync(own.cert), readFileSync(own.key)]
    const far = await client(url, { password, tls: { ca: authority.bytes, cert, key } })
    await far.set('k', 1)
    expect(await far.get('k')).toBe(1)
    await failure('ERR_RAMCACHE_UNAVAILABLE', () => connect(url, { password, tls: { ca: authority.bytes } }))
  })

  it('a connection that is lost is made again, and nothing is written twice', async () => {
    const daemon = await serve('store', ...tls)
    const port = await portOf(daemon)
    const far = await client(`rediss://127.0.0.1:${port}`, { password, tls: { ca: authority.bytes } })
    await far.incr('n', 1, { init: 0 })
    await daemon.end('SIGKILL')
    const count = far.incr('n')
    await serve('store', ...tls, '--port', String(port))
    const added = await count.catch(() => 0)
    expect(await far.incr('n')).toBe(added === 0 ? 2 : 3)
  })
})
