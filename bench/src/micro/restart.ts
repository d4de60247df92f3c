/**
 * A planned restart with the memory full, under writes until the stop: how long stopping takes, and how long it is until
 * a new client has read a value again. Beside Redis that saves at its shutdown, and memcached with its memory in a file
 * (-e). RAMCACHE_BENCH_RESTART_MB replaces the size.
 */
import { rmSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { connect } from '../../../dist/index.js'
import type { BenchOptions } from '../main.js'
import { removeDir, temporaryDir } from '../support/child.js'
import { printRows, type Row } from '../support/compare.js'
import { numbersOf } from '../support/io.js'
import { keyOf } from '../support/keys.js'
import { Memcached } from '../support/memcached.js'
import { isInstalled, type Server, startDaemon, startMemcached, startRedis } from '../support/servers.js'
import { rowsOf } from '../support/single.js'

const valueBytes = 1024

interface Client {
  set(key: string, value: Buffer): Promise<unknown>
  get(key: string): Promise<Buffer | null | undefined>
  close(): unknown
}

interface Kind {
  readonly name: string
  start(dir: string, megabytes: number): Promise<Server>
  open(server: Server): Promise<Client>
  stop(server: Server, client: Client): Promise<unknown>
}

const kinds: readonly Kind[] = [
  {
    name: 'ramcache serve',
    start: (dir, megabytes) => startDaemon(dir, ['--memory', `${Math.ceil(megabytes * 1.3)}mb`]),
    async open({ socket }) {
      const cache = await connect(`unix://${socket}`)
      return {
        set: (key, value) => cache.set(key, value),
        get: (key) => cache.get<Buffer>(key),
        close: () => cache.close(),
      }
    },
    stop: (server) => server.stop(),
  },
  {
    name: 'redis-server, saves at its shutdown',
    start: (dir) => startRedis(dir),
    async open({ socket }) {
      const redis = new Redis(socket)
      redis.on('error', () => {})
      return {
        set: (key, value) => redis.set(key, value),
        // Refused while it loads.
        get: (key) => redis.getBuffer(key).catch(() => null),
        close: () => redis.disconnect(),
      }
    },
    async stop(server) {
      const redis = new Redis(server.socket, { retryStrategy: null })
      redis.on('error', () => {})
      await redis.call('SHUTDOWN', 'SAVE').catch(() => {})
      await server.stop()
    },
  },
  {
    name: 'memcached -e',
    start: (dir, megabytes) =>
      startMemcached(dir, ['-m', String(Math.max(64, Math.ceil(megabytes * 1.4))), '-e', memoryFile(dir)]),
    open: async ({ socket }) => Memcached.open(socket),
    // Keeps its memory on this signal only.
    stop: (server) => server.stop('SIGUSR1'),
  },
]

function memoryFile(dir: string): string {
  return `/dev/shm/${dir.replaceAll('/', '_')}`
}

export async function restart({ isSmall }: BenchOptions): Promise<Row[]> {
  const [megabytes = 0] = numbersOf('RAMCACHE_BENCH_RESTART_MB', [isSmall ? 8 : 1024])
  const count = Math.floor((megabytes * 1e6) / valueBytes)
  console.log(`${count} values of ${valueBytes} B, under writes until the stop`)
  const stops: { name: string; ns: number; checksum: number }[] = []
  const starts: typeof stops = []
  for (const kind of kinds) {
    const [program = ''] = kind.name.split(' ')
    if (program !== 'ramcache' && !isInstalled(program.replace(',', ''))) continue
    const dir = temporaryDir()
    const [stopMs, startMs] = await measure(kind, dir, megabytes, count)
    stops.push({ name: kind.name, ns: stopMs * 1e6, checksum: count })
    if (startMs === undefined) console.log(`${kind.name} has lost what it held`)
    else starts.push({ name: kind.name, ns: startMs * 1e6, checksum: count })
    removeDir(dir)
    for (const suffix of ['', '.meta']) rmSync(memoryFile(dir) + suffix, { force: true })
  }
  const rows = [...rowsOf('planned stop', stops), ...rowsOf('start to the first get of a new client', starts)]
  printRows(rows)
  return rows
}

async function measure(
  kind: Kind,
  dir: string,
  megabytes: number,
  count: number,
): Promise<[number, number | undefined]> {
  const server = await kind.start(dir, megabytes)
  const client = await kind.open(server)
  const value = (n: number) => Buffer.alloc(valueBytes, n)
  for (let from = 0; from < count; from += 500) {
    const puts: Promise<unknown>[] = []
    for (let n = from; n < Math.min(count, from + 500); n++) puts.push(client.set(keyOf(n), value(n)))
    await Promise.all(puts)
  }
  let isStopping = false
  const writer = (async () => {
    for (let n = 0; !isStopping; n++) {
      await client.set(keyOf(n % count), value(n % count))
      await nextTurn()
    }
  })().catch(() => {})
  await new Promise((resolve) => setTimeout(resolve, 1000))
  const stopAt = performance.now()
  const stopped = kind.stop(server, client)
  isStopping = true
  await stopped
  const stopMs = performance.now() - stopAt
  await Promise.race([writer, new Promise((resolve) => setTimeout(resolve, 100))])
  const startAt = performance.now()
  const again = await kind.start(dir, megabytes)
  const reader = await kind.open(again)
  let startMs: number | undefined
  while (startMs === undefined) {
    const found = await reader.get(keyOf(count >> 1))
    if (found?.length === valueBytes) startMs = performance.now() - startAt
    // Redis says null while it loads. memcached has nothing where it could not keep its memory.
    else if (found === undefined) break
    await nextTurn()
  }
  await client.close()
  await reader.close()
  await again.stop()
  return [stopMs, startMs]
}
