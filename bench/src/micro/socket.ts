/**
 * What goes over the socket: acknowledged sets one at a time and 1,000 in flight, gets of a Redis client, and
 * redis-benchmark; beside the same client with Redis, and a put of lmdb-js that is waited for.
 */
import { execFileSync } from 'node:child_process'
import { Redis } from 'ioredis'
import { open as openLmdb } from 'lmdb'
import { connect } from '../../../dist/index.js'
import type { BenchOptions } from '../main.js'
import { removeDir, temporaryDir } from '../support/child.js'
import { printRows, type Row } from '../support/compare.js'
import { keyOf, value100 } from '../support/keys.js'
import { isInstalled, keepAwake, nodeRedisOf, startDaemon, startRedis } from '../support/servers.js'
import { rowsOf, timeEach } from '../support/single.js'

const inFlight = 1000

export async function socket({ isSmall }: BenchOptions): Promise<Row[]> {
  if (!isInstalled('redis-server')) return []
  const dir = temporaryDir()
  const [daemon, server] = [await startDaemon(dir, ['--memory', '1gb']), await startRedis(dir)]
  const cache = await connect(`unix://${daemon.socket}`)
  const [redis, ours] = [new Redis(server.socket), new Redis(daemon.socket)]
  const [nodeRedis, nodeOurs] = [await nodeRedisOf(server), await nodeRedisOf(daemon)]
  const lmdb = openLmdb<string, string>({ path: `${dir}/lmdb` })
  const count = isSmall ? 200 : 20_000
  const rows: Row[] = []
  for (const [state, isAwake] of [
    ['processors sleep', false],
    ['processors awake', true],
  ] as const) {
    const sleep = isAwake ? keepAwake(2) : () => {}
    const one = async (work: (index: number) => Promise<unknown>, times = count) => {
      const { times: found, checksum } = await timeEach(times, async (index) => {
        await work(index)
        return 1
      })
      return { ns: found.p50, checksum }
    }
    rows.push(
      ...rowsOf(`set of 100 B, one at a time, p50, ${state}`, [
        { name: 'ramcache set, connected', ...(await one((n) => cache.set(keyOf(n), value100(n)))) },
        { name: 'ioredis set', ...(await one((n) => redis.set(keyOf(n), value100(n)))) },
        { name: 'node-redis set', ...(await one((n) => nodeRedis.set(keyOf(n), value100(n)))) },
        { name: 'lmdb-js put, awaited', ...(await one((n) => lmdb.put(keyOf(n), value100(n)), count / 20)) },
      ]),
      ...rowsOf(`get over the socket, one at a time, p50, ${state}`, [
        { name: 'ioredis get, ramcache', ...(await one((n) => ours.get(keyOf(n)))) },
        { name: 'ioredis get, redis', ...(await one((n) => redis.get(keyOf(n)))) },
        { name: 'node-redis get, ramcache', ...(await one((n) => nodeOurs.get(keyOf(n)))) },
        { name: 'node-redis get, redis', ...(await one((n) => nodeRedis.get(keyOf(n)))) },
      ]),
    )
    sleep()
  }
  const rounds = isSmall ? 3 : 100
  const many = async (work: (from: number) => Promise<unknown>) => {
    const { times, checksum } = await timeEach(rounds, async (round) => {
      await work((round % 20) * inFlight)
      return inFlight
    })
    return { ns: times.p50 / inFlight, checksum }
  }
  const each = (from: number, work: (n: number) => Promise<unknown>) =>
    Promise.all(Array.from({ length: inFlight }, (_, at) => work(from + at)))
  const pipelined = (client: Redis, add: (pipeline: ReturnType<Redis['pipeline']>, n: number) => unknown) => {
    return (from: number) => {
      const pipeline = client.pipeline()
      for (let n = from; n < from + inFlight; n++) add(pipeline, n)
      return pipeline.exec()
    }
  }
  rows.push(
    ...rowsOf(`sets of 100 B, ${inFlight} in flight, each`, [
      {
        name: 'ramcache set, connected',
        ...(await many((from) => each(from, (n) => cache.set(keyOf(n), value100(n))))),
      },
      {
        name: 'ioredis pipeline',
        ...(await many(pipelined(redis, (line, n) => line.set(keyOf(n), value100(n))))),
      },
      {
        name: 'node-redis set',
        ...(await many((from) => each(from, (n) => nodeRedis.set(keyOf(n), value100(n))))),
      },
    ]),
    ...rowsOf(`gets over the socket, ${inFlight} in flight, each`, [
      {
        name: 'ioredis pipeline, ramcache',
        ...(await many(pipelined(ours, (line, n) => line.get(keyOf(n))))),
      },
      { name: 'ioredis pipeline, redis', ...(await many(pipelined(redis, (line, n) => line.get(keyOf(n))))) },
    ]),
  )
  for (const pipeline of [1, 16]) {
    const ns = (path: string) => redisBenchmark(path, pipeline, isSmall ? 5000 : 400_000)
    // In turns: the machine is not the same all the time.
    const [a, b, c, d] = [ns(daemon.socket), ns(server.socket), ns(daemon.socket), ns(server.socket)] as const
    for (const command of ['SET', 'GET'] as const) {
      rows.push(
        ...rowsOf(`redis-benchmark ${command}, 8 connections, pipeline ${pipeline}`, [
          { name: 'ramcache serve', ns: (a[command] + c[command]) / 2, checksum: pipeline },
          { name: 'redis-server', ns: (b[command] + d[command]) / 2, checksum: pipeline },
        ]),
      )
    }
  }
  printRows(rows)
  for (const client of [redis, ours]) client.disconnect()
  for (const client of [nodeRedis, nodeOurs]) client.destroy()
  await cache.close()
  await lmdb.close()
  await daemon.stop()
  await server.stop()
  removeDir(dir)
  return rows
}

/** Nanoseconds of an operation, over all connections. */
function redisBenchmark(path: string, pipeline: number, requests: number): { SET: number; GET: number } {
  const args = [
    '-s',
    path,
    '-c',
    '8',
    '-P',
    String(pipeline),
    '-n',
    String(requests),
    '-r',
    '100000',
    '-d',
    '100',
  ]
  const output = execFileSync('redis-benchmark', [...args, '-t', 'set,get', '--csv'], { encoding: 'utf8' })
  const perSecond = (command: string) => {
    const found = new RegExp(`^"${command}","([\\d.]+)"`, 'm').exec(output)
    if (found === null) throw new Error(`redis-benchmark said nothing of ${command}: ${output}`)
    return Number(found[1])
  }
  return { SET: 1e9 / perSecond('SET'), GET: 1e9 / perSecond('GET') }
}
