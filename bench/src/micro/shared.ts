/**
 * Reads from a process that does not own the store, over `connect()` to a daemon: one string at a time beside ioredis, with
 * processors that sleep and with ones kept awake; frozen objects beside caches of the process itself; 64 KiB buffers;
 * what is not there; 100 at a time; and what a million entries cost the heap of the reader.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { BentoCache, bentostore } from 'bentocache'
import { memoryDriver } from 'bentocache/drivers/memory'
import { CacheableMemory } from 'cacheable'
import { Redis } from 'ioredis'
import { open as openLmdb } from 'lmdb'
import { LRUCache } from 'lru-cache'
import { Client as MemcachedClient } from 'memjs'
import { type Cache, connect } from '../../../dist/index.js'
import type { BenchOptions } from '../main.js'
import { removeDir, temporaryDir } from '../support/child.js'
import { type Contender, compare, printRows, type Row } from '../support/compare.js'
import { freshKeys, keyOf, object1k, random, value100 } from '../support/keys.js'
import {
  isInstalled,
  keepAwake,
  nodeRedisOf,
  type Server,
  startDaemon,
  startMemcachedTcp,
  startRedis,
} from '../support/servers.js'
import { rowsOf, timeEach } from '../support/single.js'

const hot = 1000

export async function shared({ isSmall }: BenchOptions): Promise<Row[]> {
  const entries = isSmall ? 2000 : 200_000
  const dir = temporaryDir()
  const daemon = await startDaemon(dir, ['--memory', '1gb'])
  const cache = await connect(`unix://${daemon.socket}`)
  await fill(cache, entries, value100)
  const rows = [
    ...(await besideRedis(cache, dir, entries, isSmall)),
    ...(await frozenObjects(cache, isSmall)),
    ...(await buffers(cache, dir, isSmall)),
    ...(await misses(cache, isSmall)),
  ]
  await cache.close()
  rows.push(...(await heap(`unix://${daemon.socket}`, isSmall ? 2000 : 1_000_000)))
  await daemon.stop()
  removeDir(dir)
  return rows
}

async function fill(
  cache: Cache,
  count: number,
  value: (index: number) => unknown,
  prefix = '',
): Promise<void> {
  for (let from = 0; from < count; from += 1000) {
    const entries: [string, unknown][] = []
    for (let n = from; n < Math.min(count, from + 1000); n++) entries.push([prefix + keyOf(n), value(n)])
    await Promise.all(entries.map(([key, given]) => cache.set(key, given)))
  }
}

async function besideRedis(cache: Cache, dir: string, entries: number, isSmall: boolean): Promise<Row[]> {
  if (!isInstalled('redis-server')) return []
  const server = await startRedis(dir)
  const redis = new Redis(server.socket)
  for (let n = 0; n < entries; n++) {
    const put = redis.set(keyOf(n), value100(n))
    if (n % 1000 === 999 || n === entries - 1) await put
  }
  const others = await otherClients(server, entries)
  const reads = isSmall ? 300 : 30_000
  const rows: Row[] = []
  for (const [state, isAwake] of [
    ['processors sleep', false],
    ['processors awake', true],
  ] as const) {
    const sleep = isAwake ? keepAwake(2) : () => {}
    const keys = freshKeys(reads, entries)
    const at = (index: number) => keys[index] as string
    const ours = await timeEach(reads, (index) => (cache.getSync<string>(at(index)) as string).length)
    const peers = [{ name: 'ioredis get', get: (key: string) => redis.get(key) }, ...others.clients]
    const theirs = []
    for (const { name, get } of peers) {
      const found = await timeEach(reads, async (index) => ((await get(at(index))) as string).length)
      theirs.push({ name, ...found })
    }
    sleep()
    for (const share of ['p50', 'p99'] as const) {
      rows.push(
        ...rowsOf(`100 B string, one at a time, ${share}, ${state}`, [
          { name: 'ramcache getSync, connected', ns: ours.times[share], checksum: ours.checksum },
          ...theirs.map(({ name, times, checksum }) => ({ name, ns: times[share], checksum })),
        ]),
      )
    }
  }
  await others.stop()
  const oneBatch = 100
  const batches = isSmall ? 20 : 2000
  const keysOf = () => freshKeys(oneBatch, entries, next)
  const next = random()
  const many = await timeEach(batches, async () => (await cache.getMany(keysOf())).size)
  const theirMany = await timeEach(batches, async () => (await redis.mget(keysOf())).length)
  rows.push(
    ...rowsOf('100 strings of 100 B at a time, each', [
      { name: 'ramcache getMany, connected', ns: many.times.p50 / oneBatch, checksum: many.checksum },
      { name: 'ioredis mget', ns: theirMany.times.p50 / oneBatch, checksum: theirMany.checksum },
    ]),
  )
  printRows(rows)
  redis.disconnect()
  await server.stop()
  return rows
}

/** Of the Redis server that is there, and of a memcached of its own: with the same entries. */
async function otherClients(server: Server, entries: number) {
  const nodeRedis = await nodeRedisOf(server)
  const clients = [{ name: 'node-redis get', get: (key: string): Promise<unknown> => nodeRedis.get(key) }]
  if (!isInstalled('memcached')) return { clients, stop: async () => nodeRedis.destroy() }
  const memcached = await startMemcachedTcp()
  const memjs = MemcachedClient.create(memcached.address)
  for (let n = 0; n < entries; n++) {
    const put = memjs.set(keyOf(n), value100(n), { expires: 0 })
    if (n % 1000 === 999 || n === entries - 1) await put
  }
  clients.push({ name: 'memjs get (TCP)', get: async (key) => (await memjs.get(key)).value })
  const stop = async () => {
    nodeRedis.destroy()
    memjs.close()
    await memcached.stop()
  }
  return { clients, stop }
}

async function frozenObjects(cache: Cache, isSmall: boolean): Promise<Row[]> {
  await fill(cache, hot, object1k, 'object:')
  const dir = temporaryDir()
  const lmdb = openLmdb<unknown, string>({
    path: `${dir}/lmdb`,
    noSync: true,
    cache: { validated: true } as never,
  })
  const lru = new LRUCache<string, object>({ max: hot })
  const bento = new BentoCache({
    default: 'one',
    stores: { one: bentostore().useL1Layer(memoryDriver({ maxItems: hot, serialize: false })) },
  })
  const memory = new CacheableMemory({ useClone: false, lruSize: hot })
  for (let n = 0; n < hot; n++) {
    const [key, value] = [`object:${keyOf(n)}`, object1k(n)]
    await lmdb.put(key, value)
    lru.set(key, value)
    await bento.set({ key, value })
    memory.set(key, value)
  }
  const idOf = (value: unknown) => (value as { id: number }).id
  const next = random()
  let keys: string[] = []
  const prepare = () => {
    keys = freshKeys(hot, hot, next).map((key) => `object:${key}`)
    // V8 joins them when they are first looked at: not while they are timed.
    for (const key of keys) key.charCodeAt(7)
  }
  const contender = (name: string, get: (key: string) => unknown): Contender => ({
    name,
    operations: hot,
    prepare,
    batch: () => keys.reduce((sum, key) => sum + idOf(get(key)), 0),
  })
  const options = { rounds: isSmall ? 1 : 9, msPerRound: isSmall ? 10 : 150 }
  const rows = await compare(
    'hot 1 KiB object, frozen, 1 k keys',
    [
      contender('ramcache getSync, connected', (key) => cache.getSync(key, { frozen: true })),
      contender('lru-cache, this process', (key) => lru.get(key)),
      contender('lmdb-js, validated cache', (key) => lmdb.get(key)),
      contender('cacheable memory, no clones', (key) => memory.get(key)),
    ],
    options,
  )
  prepare()
  const reads = isSmall ? 200 : 20_000
  const bentoTimes = await timeEach(reads, async (index) =>
    idOf(await bento.get({ key: keys[index % hot] as string })),
  )
  const more = rowsOf(rows[0]?.what as string, [
    { name: 'ours', ns: rows[0]?.nsPerOperation as number, checksum: 0 },
    { name: 'bentocache L1, awaited, p50', ns: bentoTimes.times.p50, checksum: bentoTimes.checksum },
  ]).slice(1)
  printRows(more)
  await bento.disconnectAll()
  await lmdb.close()
  removeDir(dir)
  return [...rows, ...more]
}

async function buffers(cache: Cache, dir: string, isSmall: boolean): Promise<Row[]> {
  const count = isSmall ? 20 : 1000
  const lmdb = openLmdb<Buffer, string>({ path: `${dir}/buffers`, noSync: true, encoding: 'binary' })
  for (let n = 0; n < count; n++) {
    const value = Buffer.alloc(65_536, n)
    await cache.set(`buffer:${n}`, value)
    await lmdb.put(`buffer:${n}`, value)
  }
  const next = random()
  const contender = (name: string, get: (key: string) => Buffer | undefined): Contender => ({
    name,
    operations: 100,
    batch: () => {
      let sum = 0
      for (let read = 0; read < 100; read++) sum += (get(`buffer:${next() % count}`) as Buffer)[9] as number
      return sum
    },
  })
  const rows = await compare(
    '64 KiB Buffer, copied',
    [
      contender('ramcache getSync, connected', (key) => cache.getSync<Buffer>(key)),
      contender('lmdb-js', (key) => lmdb.getBinary(key)),
    ],
    { rounds: isSmall ? 1 : 9, msPerRound: isSmall ? 10 : 150 },
  )
  await lmdb.close()
  return rows
}

/** With tiers below: the absent filter says so without asking anybody. */
async function misses(cache: Cache, isSmall: boolean): Promise<Row[]> {
  const count = isSmall ? 300 : 30_000
  const absent = Array.from({ length: count }, (_, index) => `never written ${index}`)
  const found = await timeEach(count, async (index) =>
    (await cache.get(absent[index] as string)) === undefined ? 1 : 0,
  )
  if (found.checksum !== count) throw new Error('something that was never written was found')
  const rows = rowsOf('definite miss, awaited get, p50', [
    { name: 'ramcache get, connected', ns: found.times.p50, checksum: found.checksum },
  ])
  printRows(rows)
  return rows
}

/** The heap and a full collection of it, with every entry read once, the near cache off. */
async function heap(url: string, count: number): Promise<Row[]> {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const measure = (): [bytes: number, ns: number] => {
    collect()
    const before = process.hrtime.bigint()
    collect()
    const ns = Number(process.hrtime.bigint() - before)
    return [process.memoryUsage().heapUsed, ns]
  }
  const small = (index: number) => ({ id: index, name: `entry ${index}` })
  const cache = await connect(url, { nearEntries: 0 })
  await fill(cache, count, small, 'small:')
  const [bytesBefore, emptyNs] = measure()
  let checksum = 0
  for (let n = 0; n < count; n++)
    checksum += (cache.getSync<{ id: number }>(`small:${keyOf(n)}`) as { id: number }).id
  const [bytesShared, sharedNs] = measure()
  const lru = new LRUCache<string, object>({ max: count })
  for (let n = 0; n < count; n++) lru.set(`small:${keyOf(n)}`, small(n))
  const [bytesLru, lruNs] = measure()
  checksum += lru.size
  await cache.close()
  const each = (bytes: number) => (bytes / count).toFixed(1)
  console.log(
    `heap per entry (B), ${count} entries: ramcache ${each(bytesShared - bytesBefore)}, ` +
      `lru-cache ${each(bytesLru - bytesShared)}; full collection ${(emptyNs / 1e6).toFixed(1)} ms when empty`,
  )
  const rows = rowsOf(`full garbage collection, ${count} entries`, [
    { name: 'ramcache, connected', ns: sharedNs, checksum },
    { name: 'lru-cache, this process', ns: lruNs, checksum },
  ])
  printRows(rows)
  return rows
}
