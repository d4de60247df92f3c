/** redis-cli and redis-benchmark against a daemon. */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { runProgram, Served } from './support.ts'

let served: Served

async function redisCli(...args: string[]): Promise<string> {
  return redisCliWith('', ...args)
}

async function redisCliWith(input: string, ...args: string[]): Promise<string> {
  const ended = await runProgram('redis-cli', ['-s', served.socket, ...args], { from: 'redis-tools', input })
  expect(ended).toMatchObject({ code: 0, stderr: '' })
  return ended.stdout
}

/** A program that goes on until somebody ends it: its lines up to one that matches. */
async function linesUpTo(pattern: RegExp, args: readonly string[]): Promise<string[]> {
  const child = spawn('redis-cli', ['-s', served.socket, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  const found: string[] = []
  for await (const line of createInterface(child.stdout)) {
    found.push(line)
    if (found.length === 1 && args[0] === 'monitor') await redisCli('set', 'watched', '1')
    if (pattern.test(line)) break
  }
  child.kill()
  return found
}

beforeAll(async () => {
  served = await Served.start()
})
beforeEach(() => redisCli('flushall'))
afterAll(() => served.end())

describe('redis-cli', () => {
  it('gets and sets, in both protocols and several forms', async () => {
    expect(await redisCli('set', 'key', 'value')).toBe('OK\n')
    expect(await redisCli('get', 'key')).toBe('value\n')
    expect(await redisCli('-3', 'get', 'none')).toBe('\n')
    expect(await redisCli('--csv', 'mget', 'key', 'none')).toBe('"value",NULL\n')
    expect(await redisCliWith('bytes \u0000\n', '-x', 'set', 'bytes')).toBe('OK\n')
    expect(await redisCli('--no-raw', 'get', 'bytes')).toBe('"bytes \\x00\\n"\n')
    expect(await redisCli('-n', '3', 'dbsize')).toBe('0\n')
    expect(await redisCli('lpush', 'l', 'x')).toContain("ERR unknown command 'lpush'")
    expect(await redisCliWith('set a 1\nincr a\nmulti\nincr a\nget a\nexec\n')).toBe(
      'OK\n2\nOK\nQUEUED\nQUEUED\n3\n3\n',
    )
    expect(await redisCli('command', 'docs', 'get')).toContain('summary')
  })

  it('scans, and finds what is big', async () => {
    const commands = Array.from(
      { length: 2000 },
      (_, number) => `SET key:${number} ${'x'.repeat(number % 50)}y\r\n`,
    )
    const piped = await redisCliWith(commands.join(''), '--pipe')
    expect(piped).toContain('errors: 0, replies: 2000')
    const scanned = await redisCli('--scan', '--pattern', 'key:1?')
    expect(scanned.trim().split('\n').sort()).toEqual(
      Array.from({ length: 10 }, (_, number) => `key:1${number}`),
    )
    await redisCli('set', 'largest', 'x'.repeat(1000))
    expect(await redisCli('--bigkeys')).toMatch(
      /Biggest string found.*largest.* has 1000 bytes[\s\S]*2001 strings with/,
    )
    expect(await redisCli('--memkeys')).toContain('2001 strings with')
    // Reads a key's frequency under a policy for which Redis has one.
    expect(await redisCli('object', 'freq', 'largest')).toMatch(/^\d+\n$/)
  })

  it('shows statistics and what others do', async () => {
    await redisCli('set', 'key', 'value')
    const [, , line] = await linesUpTo(/^\d/, ['--stat', '-i', '0.1'])
    expect(line).toMatch(/^1 +\d/)
    const lines = await linesUpTo(/watched/, ['monitor'])
    expect(lines.at(-1)).toMatch(/^\d+\.\d+ \[0 unix:.*\] "set" "watched" "1"$/)
    expect(await redisCli('info', 'server')).toContain('ramcache_version:')
  })
})

describe('redis-benchmark', () => {
  it.each([
    ['one at a time', []],
    ['in pipelines of threads', ['-P', '16', '--threads', '2']],
    ['in RESP3', ['-3']],
  ])('runs %s without errors', async (_, options) => {
    const args = [
      '-s',
      served.socket,
      '-t',
      'ping,set,get,incr,mset',
      '-n',
      '2000',
      '-c',
      '20',
      '-r',
      '1000',
      '--csv',
    ]
    const ended = await runProgram('redis-benchmark', [...args, ...options], { from: 'redis-tools' })
    expect(ended.code).toBe(0)
    expect(ended.stderr).not.toMatch(/error/i)
    const [, ...rows] = ended.stdout.trim().split('\n')
    const names = rows.map((row) => row.split(',')[0])
    expect(names).toEqual(['"PING_INLINE"', '"PING_MBULK"', '"SET"', '"GET"', '"INCR"', '"MSET (10 keys)"'])
    expect(Number(await redisCli('dbsize'))).toBeGreaterThan(500)
  })
})
