/**
 * The tail: two clients at 4,000 operations a second each, 90 % get, 10 % set (half of them new keys), objects of 1 KiB, for
 * 60 seconds with each store, persisting or not. What is asked for lies in RAM everywhere; a store with tiers has far more
 * than its memory below, and spills, checkpoints and drains meanwhile.
 */
import { writeFileSync } from 'node:fs'
import { setTimeout as after } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { BenchOptions } from '../main.js'
import { type Child, removeDir, startChild, temporaryDir } from '../support/child.js'
import type { Row } from '../support/compare.js'
import { numbersOf } from '../support/io.js'
import { type Percentiles, percentilesOf } from '../support/latency.js'
import { isInstalled, type Server, startDaemon, startMemcached, startRedis } from '../support/servers.js'

const clients = 2
const perSecond = 4000
/** New keys of a client are numbered from here on, times its number. */
const newKeys = 10_000_000

interface Sizes {
  readonly seconds: number
  /** Objects that are there before, and those of them that are asked for. */
  readonly entries: number
  readonly hot: number
  readonly memoryMb: number
}

interface Contestant {
  readonly name: string
  readonly system: string
  readonly program?: string
  start(dir: string, sizes: Sizes): Promise<Server | undefined>
  /** Where a client finds it. */
  place(dir: string, server: Server | undefined): string
  /** What goes on beside the load, until the signal. */
  beside?(place: string, until: AbortSignal): Promise<void>
}

const atSocket = (_: string, server: Server | undefined) => (server as Server).socket

const contestants: readonly Contestant[] = [
  {
    name: 'redis, no persistence',
    system: 'redis',
    program: 'redis-server',
    start: (dir) => startRedis(dir),
    place: atSocket,
  },
  {
    name: 'redis, AOF everysec + BGSAVE each 10 s',
    system: 'redis',
    program: 'redis-server',
    start: (dir) => startRedis(dir, ['--appendonly', 'yes', '--appendfsync', 'everysec']),
    place: atSocket,
    async beside(socket, until) {
      const redis = new Redis(socket)
      while (!until.aborted) {
        await redis.bgsave().catch(() => {})
        await after(10_000, undefined, { signal: until }).catch(() => {})
      }
      redis.disconnect()
    },
  },
  {
    name: 'memcached',
    system: 'memcached',
    program: 'memcached',
    start: (dir) => startMemcached(dir, ['-m', '2048']),
    place: atSocket,
  },
  {
    name: 'memcached extstore',
    system: 'memcached',
    program: 'memcached',
    start: (dir, { memoryMb }) =>
      startMemcached(dir, ['-m', String(memoryMb), '-o', `ext_path=${dir}/ext:4G,ext_item_age=1`]),
    place: atSocket,
  },
  { name: 'lmdb-js', system: 'lmdb', start: async () => undefined, place: (dir) => `${dir}/lmdb` },
  {
    name: 'ramcache, memory alone',
    system: 'ramcache',
    start(dir) {
      writeFileSync(`${dir}/alone.json`, '{ "memory": "2gb", "tiers": { "ssd": false } }')
      return startDaemon(dir, ['--config', `${dir}/alone.json`])
    },
    place: (_, server) => `unix://${server?.socket}`,
  },
  {
    name: 'ramcache, spilling to SSD and HDD',
    system: 'ramcache',
    start: (dir, { memoryMb }) => startDaemon(dir, ['--memory', `${memoryMb}mb`, '--hdd', `${dir}/hdd`]),
    place: (_, server) => `unix://${server?.socket}`,
  },
]

export async function tail({ isSmall }: BenchOptions): Promise<Row[]> {
  const [seconds = 0] = numbersOf('RAMCACHE_BENCH_TAIL_SECONDS', [isSmall ? 1 : 60])
  const sizes: Sizes = isSmall
    ? { seconds, entries: 6000, hot: 500, memoryMb: 8 }
    : { seconds, entries: 400_000, hot: 20_000, memoryMb: 128 }
  console.log(
    `${clients} clients, ${perSecond} operations/s each, ${seconds} s; ${sizes.entries} objects, ${sizes.hot} of them read; ` +
      `RAM of stores with tiers ${sizes.memoryMb} MiB`,
  )
  console.log(
    `${''.padEnd(42)}${['p50', 'p99', 'p99.9', 'p99.99', 'max'].map((name) => name.padStart(10)).join('')}`,
  )
  const rows: Row[] = []
  for (const contestant of contestants) {
    if (contestant.program !== undefined && !isInstalled(contestant.program)) continue
    rows.push(...(await measure(contestant, sizes)))
  }
  return rows
}

async function measure(contestant: Contestant, sizes: Sizes): Promise<Row[]> {
  const dir = temporaryDir()
  const server = await contestant.start(dir, sizes)
  const place = contestant.place(dir, server)
  const running: Child[] = []
  for (let number = 0; number < clients; number++) {
    running.push(await startChild('tail/client.js', [contestant.system, place, String(number)]))
  }
  await running[0]?.ask({ fill: [sizes.hot, sizes.entries] })
  // Last, so that it is in memory.
  await running[0]?.ask({ fill: [0, sizes.hot] })
  const load = async (seconds: number, from: number) =>
    (await Promise.all(
      running.map((client, number) =>
        client.ask({ seconds, perSecond, hot: sizes.hot, from: newKeys * (number + 1) + from }),
      ),
    )) as { gets: number[]; sets: number[]; missing: number }[]
  await load(Math.min(5, sizes.seconds), 0)
  const ended = new AbortController()
  const beside = contestant.beside?.(place, ended.signal)
  const answers = await load(sizes.seconds, newKeys / 2)
  ended.abort()
  await beside
  for (const client of running) await client.stop()
  await server?.stop()
  removeDir(dir)
  const times = (kind: 'gets' | 'sets') =>
    percentilesOf(Float64Array.from(answers.flatMap((answer) => answer[kind])))
  const missing = answers.reduce((sum, answer) => sum + answer.missing, 0)
  const gets = times('gets')
  const sets = times('sets')
  print(`${contestant.name}: get`, gets)
  print(`${contestant.name}: set`, sets)
  const expected = clients * perSecond * sizes.seconds
  const count = gets.count + sets.count
  if (missing > 0) console.log(`  ${missing} of ${gets.count} gets found nothing`)
  if (count < expected * 0.98) console.log(`  only ${count} of ${expected} operations in the time`)
  const row = (what: string, us: number): Row => ({
    what,
    name: contestant.name,
    nsPerOperation: us * 1000,
    checksum: count,
    ratio: 1,
  })
  return [
    row('tail: get p50', gets.p50),
    row('tail: get p99', gets.p99),
    row('tail: get p99.9', gets.p999),
    row('tail: get p99.99', gets.p9999),
    row('tail: set p99.99', sets.p9999),
  ]
}

function print(name: string, { p50, p99, p999, p9999, max }: Percentiles): void {
  const cells = [p50, p99, p999, p9999, max].map((us) => us.toFixed(1).padStart(10))
  console.log(`${name.padEnd(42)}${cells.join('')} us`)
}
