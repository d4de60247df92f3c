/** A daemon on TCP, as its operator sees it: what it needs, what it says, what changes while it runs. */
import { once } from 'node:events'
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Authority } from '../support/certificates.ts'
import { cli, DaemonProcess, portOf } from './support.ts'

let folder: string
let dir: string
let passwordFile: string
const daemons: DaemonProcess[] = []
const authority = new Authority()

async function serve(args: readonly string[], env: Record<string, string> = {}): Promise<DaemonProcess> {
  const daemon = await DaemonProcess.start(['--dir', dir, '--memory', '8mb', ...args], env)
  daemons.push(daemon)
  return daemon
}

function path(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text, { mode: 0o600 })
  return path
}

/** Answers to some lines, to the end of the connection. */
async function talk(port: number, ...lines: string[]): Promise<string> {
  const socket = connect(port, '127.0.0.1').setEncoding('utf8')
  await once(socket, 'connect')
  socket.write(`${[...lines, 'QUIT'].join('\r\n')}\r\n`)
  let answers = ''
  for await (const part of socket) answers += part
  return answers
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ramcache-'))
  dir = join(folder, 'store')
  passwordFile = path('password', 'secret\n')
})

afterEach(async () => {
  for (const daemon of daemons.splice(0)) await daemon.end('SIGTERM')
  rmSync(folder, { recursive: true, force: true })
})

afterAll(() => authority.remove())

describe('a daemon on TCP', () => {
  it('answers whoever has the password, on this machine unless told otherwise', async () => {
    const daemon = await serve(['--port', '0', '--password-file', passwordFile])
    expect(await daemon.says(/tcp on/)).toMatch(/tcp on 127\.0\.0\.1:\d+/)
    const port = await portOf(daemon)
    expect(await talk(port, 'GET k')).toBe('-NOAUTH Authentication required.\r\n+OK\r\n')
    expect(await talk(port, 'AUTH secret', 'SET k v', 'GET k')).toBe('+OK\r\n+OK\r\n$1\r\nv\r\n+OK\r\n')
    expect(await daemon.talk('GET k')).toBe('$1\r\nv\r\n+OK\r\n')
    expect(await daemon.talk('INFO server')).toContain(`tcp_port:${port}\r\n`)
  })

  it('takes its configuration from file and environment, and another password on SIGHUP', async () => {
    const config = path('ramcache.json', '{ "tcp": { "host": "127.0.0.1", "port": 0 } }')
    const env = { RAMCACHE_PASSWORD_FILE: passwordFile }
    const daemon = await serve(['--config', config], env)
    const port = await portOf(daemon)
    expect(await talk(port, 'AUTH secret')).toContain('+OK')
    path('password', 'another')
    path('ramcache.json', '{ "tcp": { "host": "127.0.0.1", "port": 0 }, "memory": "16mb" }')
    daemon.process.kill('SIGHUP')
    await expect.poll(() => talk(port, 'AUTH another')).toBe('+OK\r\n+OK\r\n')
    expect(await talk(port, 'AUTH secret')).toContain('-WRONGPASS')
    // What cannot be read changes nothing.
    path('password', '')
    daemon.process.kill('SIGHUP')
    await daemon.says(/was not read again: .*password is empty/)
    expect(await talk(port, 'AUTH another')).toBe('+OK\r\n+OK\r\n')
  })

  it('warns of what others can read', async () => {
    chmodSync(passwordFile, 0o644)
    const daemon = await serve(['--port', '0', '--host', '0.0.0.0', '--password-file', passwordFile])
    const said = await daemon.says(/tcp on 0\.0\.0\.0:/)
    expect(said).toContain(`can read the password in ${passwordFile}`)
    expect(said).toContain('everybody on the way can read them')
  })

  it('with a password in the environment alone does not listen', async () => {
    const daemon = await serve([], { RAMCACHE_PASSWORD_FILE: join(folder, 'none') })
    expect(await daemon.talk('INFO server')).toContain('tcp_port:0\r\n')
  })
})

describe('a daemon with TLS', () => {
  /** Says PING; resolves to the answer and the name that the daemon shows. */
  async function greet(port: number, own: { cert: Buffer; key: Buffer } | undefined) {
    const socket = connectTls({ host: '127.0.0.1', port, ca: authority.bytes, ...own })
    await once(socket, 'secureConnect')
    const name = socket.getPeerCertificate().subject.CN
    socket.setEncoding('utf8').end('PING\r\n')
    let answer = ''
    for await (const part of socket) answer += part
    return { name, answer }
  }

  it('knows its clients by their certificates, and takes another one of its own on SIGHUP', async () => {
    const [first, second] = [authority.sign('first'), authority.sign('second')]
    const [cert, key] = [join(folder, 'cert'), join(folder, 'key')]
    const put = (pair: { cert: string; key: string }) => {
      copyFileSync(pair.cert, cert)
      copyFileSync(pair.key, key)
    }
    put(first)
    const daemon = await serve([
      '--port',
      '0',
      '--tls-cert',
      cert,
      '--tls-key',
      key,
      '--tls-ca',
      authority.ca,
    ])
    const port = await portOf(daemon)
    const paths = authority.sign('client')
    const own = { cert: readFileSync(paths.cert), key: readFileSync(paths.key) }
    expect(await greet(port, own)).toEqual({ name: 'first', answer: '+PONG\r\n' })
    await expect(greet(port, undefined)).rejects.toThrow(/certificate required|ECONNRESET/)
    put(second)
    daemon.process.kill('SIGHUP')
    await expect.poll(async () => (await greet(port, own)).name).toBe('second')
    writeFileSync(cert, 'nothing')
    daemon.process.kill('SIGHUP')
    await daemon.says(/was not read again: tcp\.tls\.cert is of no use/)
    expect((await greet(port, own)).name).toBe('second')
  })
})

describe('a daemon that anybody could use, or that cannot know who does, does not start', () => {
  it.each([
    ['without a password', [], 'anybody could use it'],
    ['with an empty one', ['--password-file', 'EMPTY'], 'EMPTY is empty'],
    ['with one of two lines', ['--password-file', 'LINES'], 'LINES has more than one line'],
    ['with one that is a file of something else', ['--password-file', 'LONG'], '600 bytes, the limit is 512'],
    ['with one that is not there', ['--password-file', 'NONE'], 'the password cannot be read'],
    [
      'with TLS, which says nothing of who connects',
      ['--tls-cert', 'CERT', '--tls-key', 'KEY'],
      'anybody could use it',
    ],
    ['with a certificate and no key', ['--tls-cert', 'CERT'], 'tcp.tls.key is missing'],
    [
      'with a certificate that is none',
      ['--tls-cert', 'LINES', '--tls-key', 'KEY', '--tls-ca', 'CERT'],
      'tcp.tls.cert is of no use: there is no certificate',
    ],
    [
      'with a key of another certificate',
      ['--tls-cert', 'CERT', '--tls-key', 'OTHER', '--tls-ca', 'CERT'],
      'tcp.tls.key is of no use: it does not go with tcp.tls.cert',
    ],
    [
      'with a key that is not there',
      ['--tls-cert', 'CERT', '--tls-key', 'NONE', '--tls-ca', 'CERT'],
      'tcp.tls.key cannot be read',
    ],
    ['at a port that is none', ['--port', '66000'], 'from 0 (any free one) to 65535, not "66000"'],
  ])('%s', async (_, args, message) => {
    path('EMPTY', '\n')
    path('LINES', 'one\ntwo\n')
    path('LONG', 'x'.repeat(600))
    const [pair, other] = [authority.sign('server'), authority.sign('other')]
    for (const [name, from] of Object.entries({ CERT: pair.cert, KEY: pair.key, OTHER: other.key })) {
      path(name, readFileSync(from, 'utf8'))
    }
    const given = args.map((arg) => (/^[A-Z]+$/.test(arg) ? join(folder, arg) : arg))
    const usual = args.includes('--port') ? ['--password-file', passwordFile] : ['--port', '0']
    const ended = await cli(['serve', '--dir', dir, '--memory', '8mb', ...usual, ...given])
    expect(ended).toMatchObject({ code: 78, stdout: '' })
    expect(ended.stderr).toContain(message)
  })

  it('with a host and no port', async () => {
    const ended = await cli(['serve', '--dir', dir, '--host', '127.0.0.1'])
    expect(ended).toMatchObject({ code: 78, stdout: '' })
    expect(ended.stderr).toContain('tcp.port is missing')
  })

  it('when the port is taken', async () => {
    const port = await portOf(await serve(['--port', '0', '--password-file', passwordFile]))
    const args = ['--port', String(port), '--password-file', passwordFile, '--dir', join(folder, 'other')]
    const ended = await cli(['serve', '--memory', '8mb', ...args])
    expect(ended.code).not.toBe(0)
    expect(ended.stderr).toContain(`cannot listen at 127.0.0.1 port ${port}`)
  })
})
