/** The daemon as its operator sees it: start, ready line, reload, stop, restart, metrics, configuration, refusals. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { open } from '../../src/index.ts'
import { cli, DaemonProcess } from './support.ts'

let folder: string
let dir: string
const daemons: DaemonProcess[] = []

async function serve(args: readonly string[] = [], env: Record<string, string> = {}): Promise<DaemonProcess> {
  const daemon = await DaemonProcess.start(['--dir', dir, '--memory', '8mb', ...args], env)
  daemons.push(daemon)
  return daemon
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ramcache-'))
  dir = join(folder, 'store')
})

afterEach(async () => {
  for (const daemon of daemons.splice(0)) await daemon.end('SIGKILL')
  if (existsSync(join(dir, 'owner'))) await (await open({ dir, memory: '8mb', listen: false })).close()
  rmSync(folder, { recursive: true, force: true })
})

describe('a daemon', () => {
  it('serves on the socket it names, to this user alone, until SIGTERM, and keeps what it was given', async () => {
    const daemon = await serve()
    expect(daemon.socket).toBe(join(dir, 'ramcache.sock'))
    expect(statSync(daemon.socket).mode & 0o077).toBe(0)
    expect(await daemon.talk('SET key value', 'GET key')).toBe('+OK\r\n$5\r\nvalue\r\n+OK\r\n')
    expect(await daemon.end('SIGTERM')).toBe(0)
    expect(existsSync(daemon.socket)).toBe(false)
    const again = await serve()
    expect(await again.talk('GET key')).toContain('value')
    expect(await again.end('SIGINT')).toBe(0)
  })

  it('that was killed leaves a socket that the next one takes, and loses nothing', async () => {
    const first = await serve()
    await first.talk('SET key value')
    await first.end('SIGKILL')
    expect(existsSync(first.socket)).toBe(true)
    const second = await serve()
    expect(await second.talk('GET key')).toContain('value')
  })

  it('listens where it is told to, for a group if it is told so', async () => {
    const path = join(folder, 'other.sock')
    const group = String(process.getgid?.() ?? 0)
    const daemon = await serve(['--socket', `unix://${path}`, '--socket-group', group])
    expect(daemon.socket).toBe(path)
    expect(statSync(path).mode & 0o777).toBe(0o660)
    expect(await daemon.talk('PING')).toContain('PONG')
  })

  it('takes another budget on SIGHUP, and says what only a restart changes', async () => {
    const file = join(folder, 'config.json')
    writeFileSync(file, JSON.stringify({ dir, memory: '8mb' }))
    const daemon = await DaemonProcess.start(['--config', file])
    daemons.push(daemon)
    writeFileSync(file, JSON.stringify({ dir, memory: '16mb', tiers: { ssd: { floor: '1mb' } } }))
    daemon.process.kill('SIGHUP')
    const said = await daemon.says(/tiers\.ssd\.floor has changed/)
    expect(said).toContain(`memory is ${16 * 2 ** 20} bytes now`)
    writeFileSync(file, '{ "memory": ')
    daemon.process.kill('SIGHUP')
    await daemon.says(/not read again/)
    expect(await daemon.talk('PING')).toContain('PONG')
  })

  it('shows metrics over HTTP, and nothing else there', async () => {
    const daemon = await serve(['--metrics', '127.0.0.1:0'])
    const [, port] = /metrics on port (\d+)/.exec(await daemon.says(/metrics on port \d+/)) ?? []
    await daemon.talk('SET a 1', 'GET a', 'GET b')
    const answer = await fetch(`http://127.0.0.1:${port}/metrics`)
    expect(answer.headers.get('content-type')).toContain('text/plain; version=0.0.4')
    const lines = (await answer.text()).split('\n')
    expect(lines).toContain('ramcache_reads_total{result="hit"} 1')
    expect(lines).toContain('ramcache_reads_total{result="miss"} 1')
    expect((await fetch(`http://127.0.0.1:${port}/other`)).status).toBe(404)
  })

  it('tells its service manager when it is ready and when it stops', async () => {
    const path = join(folder, 'notify.sock')
    const manager = receiver(path)
    await manager.next()
    const daemon = await serve([], { NOTIFY_SOCKET: path })
    expect(await manager.next()).toBe('READY=1')
    await daemon.end('SIGTERM')
    expect(await manager.next()).toBe('STOPPING=1')
    manager.child.kill()
  })

  it('is refused a directory that another one has, and leaves that one alone', async () => {
    const first = await serve()
    const second = await cli(['serve', '--dir', dir])
    expect(second.code).toBe(69)
    expect(second.stderr).toContain(String(first.process.pid))
    expect(second.stdout).toBe('')
    expect(await first.talk('PING')).toContain('PONG')
  })

  it.each<[string, string[], number, string]>([
    ['no directory', ['serve'], 78, '--dir'],
    ['a flag that is misspelt', ['serve', '--dri', 'x'], 2, '--dir'],
    ['a flag of later versions', ['serve', '--dir', 'x', '--peer', 'h:1'], 2, '--peer is not supported'],
    ['a budget that is none', ['serve', '--dir', 'x', '--memory', 'lots'], 78, '"lots"'],
    [
      'a group that does not exist',
      ['serve', '--dir', '%', '--socket-group', 'no-such-group'],
      78,
      'no-such-group',
    ],
    ['a file that is not there', ['serve', '--config', '/nonexistent/c.json'], 78, '/nonexistent/c.json'],
  ])('says what is wrong with %s', async (_, args, code, text) => {
    const own = args.map((arg) => (arg === '%' ? dir : arg))
    const ended = await cli(own, { RAMCACHE_DIR: '', RAMCACHE_CONFIG: '' })
    expect(ended.stderr).toContain(text)
    expect(ended.code).toBe(code)
  })
})

describe('ramcache config', () => {
  it('shows where each value comes from', async () => {
    const file = join(folder, 'c.json')
    writeFileSync(file, '{ "memory": "8mb", /* so */ "dir": "/d" }')
    const shown = await cli(['config', 'get', '--config', file, '--json'], { RAMCACHE_MEMORY: '16mb' })
    expect(JSON.parse(shown.stdout)).toMatchObject({
      dir: { value: '/d', origin: file },
      memory: { value: '16mb', origin: 'RAMCACHE_MEMORY' },
      log: { value: 'info', origin: 'default' },
    })
    expect((await cli(['config', 'get', 'dir', '--config', file])).stdout).toBe('/d\n')
    expect((await cli(['config', 'get', 'metrics', '--config', file])).code).toBe(1)
  })

  it('checks a file, and changes one without losing its comments', async () => {
    const file = join(folder, 'c.json')
    writeFileSync(file, '{\n  // why\n  "dir": "/d"\n}\n')
    expect((await cli(['config', 'check', '--config', file])).code).toBe(0)
    expect((await cli(['config', 'set', 'memory', '1gb', '--config', file])).code).toBe(0)
    expect(readFileSync(file, 'utf8')).toBe('{\n  // why\n  "dir": "/d",\n  "memory": "1gb"\n}\n')
    const refused = await cli(['config', 'set', 'memry', '1gb', '--config', file])
    expect([refused.code, refused.stderr]).toEqual([78, expect.stringContaining('did you mean memory?')])
    expect(readFileSync(file, 'utf8')).not.toContain('memry')
    writeFileSync(file, '{ "memory": "1 parsec" }')
    expect((await cli(['config', 'check', '--dir', 'x', '--config', file])).code).toBe(78)
  })
})

/** A service manager's end of a datagram socket, which Node has not: one line for each datagram, the first when it listens. */
function receiver(path: string): { child: ChildProcess; next(): Promise<string> } {
  const program = `
    use Socket; $| = 1;
    socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die; bind($s, pack_sockaddr_un($ARGV[0])) or die;
    print "listening\\n"; while (defined recv($s, my $m, 4096, 0)) { print "$m\\n" }`
  const child = spawn('perl', ['-e', program, path])
  const lines: string[] = []
  let rest = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n')
    rest = parts.pop() as string
    lines.push(...parts)
    child.emit('line')
  })
  return {
    child,
    next: async () => {
      while (lines.length === 0) await once(child, 'line')
      return lines.shift() as string
    },
  }
}
