/** MONITOR and COMMAND, word for word beside a real Redis where that says the same. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openEmbedded, type Placement } from '../support/stores.ts'
import { type Redis, startRedis } from './redis.ts'
import { ErrorReply, type Reply, socketOf, Wire } from './support.ts'

let place: Placement
let redis: Redis
let ours: Wire
let real: Wire

beforeEach(async () => {
  place = await openEmbedded({ __internal: { serverThreads: 2 } } as object)
  redis = await startRedis()
  ours = await Wire.open(socketOf(place.dir))
  real = await Wire.open(redis.socket)
})
afterEach(async () => {
  ours.close()
  real.close()
  await redis.end()
  await place.end()
})

/** What a monitor sees of these lines, without times and paths, up to the last of them. */
async function seen(path: string, client: Wire, lines: readonly string[]): Promise<string[]> {
  const monitor = await Wire.open(path)
  expect(await monitor.ask('MONITOR')).toBe('OK')
  for (const line of lines) {
    client.write(`${line}\r\n`)
    await client.read()
  }
  await client.ask('ECHO', 'end')
  const found: string[] = []
  for (;;) {
    const line = (await monitor.read()) as string
    const [, time, source, rest] = /^(\d+\.\d{6}) (\[\w+ unix:.+?\]) (.*)$/.exec(line) ?? []
    expect(Number(time), line).toBeGreaterThan(1_600_000_000)
    if (rest === '"ECHO" "end"') break
    found.push(`${source?.replace(path, 'PATH')} ${rest}`)
  }
  expect(await monitor.ask('PING')).toMatch(/PONG|"PING"/)
  monitor.close()
  return found
}

describe('MONITOR', () => {
  it('shows what Redis shows, whatever thread a client is on', async () => {
    const lines = [
      'SET k "a\\"b\\\\\\x01\\n\\t\\xff\u00e9"',
      'get k',
      'CLIENT SETNAME x',
      'CLIENT LIST',
      'CLIENT TRACKING ON',
      'CONFIG GET save',
      'SELECT 2',
      'MULTI',
      'GET k',
      'INCR n',
      'EXEC',
      'AUTH secret',
      'HELLO 2 AUTH default secret',
      'MULTI',
      'GET a',
      'DISCARD',
      'FOO',
      'GET',
      'INCRBY k x',
      'SLOWLOG LEN',
      'WATCH k',
      'COMMAND COUNT',
      'LASTSAVE',
      'RESET',
    ]
    const shown = await seen(redis.socket, real, lines)
    expect(shown.length).toBeGreaterThan(15)
    // The password of HELLO, which Redis 7.0 shows, is hidden here.
    const hidden = (line: string) => line.replace('"default" "secret"', '"(redacted)" "(redacted)"')
    expect(await seen(socketOf(place.dir), ours, lines)).toEqual(shown.map(hidden))
  })

  it('names namespaces that are no databases, and ends with RESET or the connection', async () => {
    const lines = ['RC.NS users', 'GET k', 'RC.GET users k']
    expect(await seen(socketOf(place.dir), ours, lines)).toEqual([
      '[users unix:PATH] "RC.NS" "users"',
      '[users unix:PATH] "GET" "k"',
      '[users unix:PATH] "RC.GET" "users" "k"',
    ])
    const monitor = await Wire.open(socketOf(place.dir))
    await monitor.ask('MONITOR')
    expect(await ours.ask('CLIENT', 'LIST')).toContain('flags=OU ')
    // Read until its own command has been answered; what it sees of others may stand before that.
    monitor.send('RESET')
    while ((await monitor.read()) !== 'RESET');
    await ours.ask('GET', 'k')
    expect(await monitor.ask('ECHO', 'x')).toBe('x')
    expect(await ours.ask('CLIENT', 'LIST')).not.toContain('flags=OU ')
    monitor.close()
  })
})

describe('COMMAND', () => {
  it('answers as Redis where the commands are the same', async () => {
    const lines = [
      'COMMAND GETKEYS SET a b',
      'COMMAND GETKEYS MSET a b c d',
      'COMMAND GETKEYS PING',
      'COMMAND GETKEYS FOO x',
      'COMMAND GETKEYS ECHO x',
      'COMMAND GETKEYS GET x y',
      'COMMAND GETKEYS MEMORY USAGE k',
      'COMMAND GETKEYS OBJECT ENCODING k',
      'COMMAND GETKEYS COPY a b',
      'COMMAND GETKEYS',
      'COMMAND LIST FOO',
      'COMMAND LIST FILTERBY MODULE x',
      'COMMAND LIST FILTERBY ACLCAT nope',
      'COMMAND LIST FILTERBY PATTERN mget',
      'COMMAND LIST FILTERBY',
      'COMMAND COUNT x',
      'COMMAND FOO',
      'COMMAND DOCS nosuch',
    ]
    for (const line of lines)
      expect(await ours.ask(...line.split(' ')), line).toEqual(await real.ask(...line.split(' ')))
  })

  it('has docs for all there is, with the groups and versions of Redis', async () => {
    for (const wire of [ours, real]) await wire.ask('HELLO', 3)
    const docs = (await ours.ask('COMMAND', 'DOCS')) as Map<Reply, Map<Reply, Reply>>
    const names = (await ours.ask('COMMAND', 'LIST')) as string[]
    expect([...docs.keys()].sort()).toEqual([...names].sort())
    expect(await ours.ask('COMMAND', 'COUNT')).toBe(names.length)
    const theirs = (await real.ask('COMMAND', 'DOCS')) as Map<Reply, Map<Reply, Reply>>
    for (const [name, doc] of docs) {
      expect((doc.get('summary') as string).length, String(name)).toBeGreaterThan(5)
      const other = theirs.get(name)
      if (!isOurs(String(name))) expect(other, String(name)).toBeInstanceOf(Map)
      for (const field of ['since', 'group'])
        if (other) expect(doc.get(field), String(name)).toBe(other.get(field))
    }
    const one = (await ours.ask('COMMAND', 'DOCS', 'GET', 'none')) as Map<Reply, Reply>
    expect([...one.keys()]).toEqual(['get'])
  })

  it('has the arity and the keys of Redis for each', async () => {
    const names = ((await ours.ask('COMMAND', 'LIST')) as string[]).filter((name) => !isOurs(name))
    const mine = (await ours.ask('COMMAND', 'INFO', ...names)) as Reply[][]
    const theirs = (await real.ask('COMMAND', 'INFO', ...names)) as Reply[][]
    expect(names.length).toBeGreaterThan(70)
    for (const [number, name] of names.entries()) {
      const [, arity, , ...keys] = mine[number] as Reply[]
      const [, theirArity, , ...theirKeys] = theirs[number] as Reply[]
      expect([name, arity, keys.slice(0, 3)]).toEqual([name, theirArity, theirKeys.slice(0, 3)])
    }
    expect(await ours.ask('COMMAND', 'INFO', 'none')).toEqual([null])
    expect(await ours.ask('COMMAND', 'GETKEYS', 'RC.GET', 'users', 'k')).toEqual(['k'])
    expect(await ours.ask('COMMAND', 'NONE')).toBeInstanceOf(ErrorReply)
  })
})

/** Not of Redis itself: our own, and those of its modules. */
function isOurs(name: string): boolean {
  return name.startsWith('rc.') || name.startsWith('cl.')
}
