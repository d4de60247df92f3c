/** Redis clients against daemons on TCP, with a password, and over TLS. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DaemonProcess, portOf } from '../daemon/support.ts'
import { Authority } from '../support/certificates.ts'
import { runProgram } from './support.ts'

const password = 'open sesame'
const host = '127.0.0.1'
const folder = mkdtempSync(join(tmpdir(), 'ramcache-'))
const authority = new Authority()
const server = authority.sign('server')

afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
  authority.remove()
})

describe.each(['plain', 'over TLS'])('%s', (way) => {
  const isTls = way === 'over TLS'
  const secured = isTls ? { tls: { ca: authority.bytes } } : {}
  const words = isTls ? ['--tls', '--cacert', authority.ca] : []
  let daemon: DaemonProcess
  let port: number

  beforeAll(async () => {
    const passwordFile = join(folder, 'password')
    writeFileSync(passwordFile, password, { mode: 0o600 })
    const tls = isTls ? ['--tls-cert', server.cert, '--tls-key', server.key] : []
    const tcp = ['--port', '0', '--password-file', passwordFile, ...tls]
    daemon = await DaemonProcess.start(['--dir', join(folder, way), '--memory', '16mb', ...tcp])
    port = await portOf(daemon)
  })

  afterAll(() => daemon.end('SIGTERM'))

  describe.each(['with the password', 'with a wrong password', 'without a password'])('%s', (how) => {
    const isRight = how === 'with the password'
    const given = isRight ? password : how === 'without a password' ? undefined : 'wrong'
    const refusal = given === undefined ? /NOAUTH/ : /WRONGPASS/

    it('redis-cli', async () => {
      const login = given === undefined ? [] : ['--no-auth-warning', '-a', given]
      const run = (...args: string[]) =>
        runProgram('redis-cli', ['-h', host, '-p', `${port}`, ...words, ...login, ...args], {
          from: 'redis-tools',
        })
      const ended = await run('set', 'cli', 'value')
      if (!isRight) {
        expect(ended.stdout + ended.stderr).toMatch(refusal)
        return
      }
      expect(ended.stdout).toBe('OK\n')
      expect((await run('-3', 'get', 'cli')).stdout).toBe('value\n')
      expect((await run('client', 'list')).stdout).toMatch(/ addr=127\.0\.0\.1:\d+ laddr=127\.0\.0\.1:\d+ /)
    })

    it('ioredis', async () => {
      const redis = new Redis({
        host,
        port,
        lazyConnect: true,
        retryStrategy: () => null,
        ...secured,
        ...(given === undefined ? {} : { password: given }),
      })
      // ioredis says why in events, and only that it is over in what it rejects with.
      const errors: string[] = []
      redis.on('error', (error: Error) => errors.push(error.message))
      if (isRight) {
        await redis.connect()
        expect(await redis.set('ioredis', 'value')).toBe('OK')
        expect(await redis.pipeline().get('ioredis').incr('n').exec()).toMatchObject([
          [null, 'value'],
          [null, 1],
        ])
      } else {
        const done = redis.connect().then(() => redis.get('k'))
        await done.catch((error: Error) => errors.push(error.message))
        expect(errors.join('\n')).toMatch(refusal)
      }
      redis.disconnect()
    })

    it.each([2, 3] as const)('node-redis in RESP%i', async (RESP) => {
      const client = createClient({
        socket: isTls
          ? { host, port, tls: true, ca: authority.bytes, reconnectStrategy: false }
          : { host, port, reconnectStrategy: false },
        RESP,
        ...(given === undefined ? {} : { password: given }),
      })
      client.on('error', () => {})
      if (isRight) {
        await client.connect()
        expect(await client.set('node', 'value')).toBe('OK')
        expect(await client.get('node')).toBe('value')
        await client.close()
      } else {
        await expect(client.connect().then(() => client.get('k'))).rejects.toThrow(refusal)
        if (client.isOpen) client.destroy()
      }
    })
  })

  it('redis-benchmark', async () => {
    const args = [
      '-h',
      host,
      '-p',
      `${port}`,
      ...words,
      '-a',
      password,
      '-t',
      'set,get',
      '-n',
      '2000',
      '-P',
      '16',
      '--csv',
    ]
    const ended = await runProgram('redis-benchmark', args, { from: 'redis-tools' })
    expect(ended.code).toBe(0)
    expect(ended.stdout).toContain('"GET"')
  })
})
