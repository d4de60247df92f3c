/** What redis_exporter asks: fields of INFO that become metrics, with what is true; and its other commands. */
import { readFileSync } from 'node:fs'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Served } from './support.ts'

interface Fields {
  readonly labels: readonly string[]
  readonly gauges: readonly string[]
  readonly counters: readonly string[]
  readonly absent: Record<string, readonly string[]>
}

const fields = JSON.parse(
  readFileSync(new URL('../fixtures/redis-exporter.json', import.meta.url), 'utf8'),
) as Fields

let served: Served
let redis: Redis

async function info(): Promise<Map<string, string>> {
  const lines = (await redis.info('ALL')).matchAll(/^(\w+):(.*)\r$/gm)
  return new Map([...lines].map(([, name, value]) => [name as string, value as string]))
}

/** As the exporter reads a value: a number, or a word that stands for one. */
function number(value: string | undefined): number {
  const words: Record<string, number> = { ok: 1, err: 0, fail: 0 }
  return words[value ?? ''] ?? (value === '' ? Number.NaN : Number(value))
}

beforeAll(async () => {
  served = await Served.start()
  redis = new Redis(served.socket)
})
afterAll(async () => {
  redis.disconnect()
  await served.end()
})

describe('redis_exporter', () => {
  it('finds its fields, each with a number, and labels', async () => {
    const found = await info()
    for (const name of [...fields.gauges, ...fields.counters])
      expect(number(found.get(name)), name).not.toBeNaN()
    for (const name of fields.labels) expect(found.get(name), name).toBeTruthy()
    for (const name of Object.values(fields.absent).flat()) expect(found.has(name), name).toBe(false)
  })

  it('finds what is true', async () => {
    await redis.flushall()
    const before = await info()
    await redis.mset('a', 1, 'b', 2)
    await redis.select(3)
    await redis.set('c', 3)
    await redis.select(0)
    await redis.get('a')
    await redis.get('none')
    const other = new Redis(served.socket)
    await other.subscribe('news')
    const after = await info()
    other.disconnect()
    const grown = (name: string) => number(after.get(name)) - number(before.get(name))
    expect(grown('keyspace_hits')).toBe(1)
    expect(grown('keyspace_misses')).toBe(1)
    expect(grown('total_connections_received')).toBe(1)
    expect(grown('connected_clients')).toBe(1)
    expect(grown('pubsub_channels')).toBe(1)
    expect(grown('total_commands_processed')).toBeGreaterThanOrEqual(7)
    expect(grown('total_net_input_bytes')).toBeGreaterThan(100)
    expect(number(after.get('used_memory'))).toBeGreaterThan(0)
    expect(number(after.get('maxmemory'))).toBe(16 << 20)
    expect(after.get('db0')).toBe('keys=2,expires=0,avg_ttl=0')
    expect(after.get('db3')).toBe('keys=1,expires=0,avg_ttl=0')
    expect(before.has('db0')).toBe(false)
    expect(after.get('role')).toBe('master')
  })

  it('gets answers to its other commands', async () => {
    expect(await redis.client('SETNAME', 'redis_exporter')).toBe('OK')
    const settings = (await redis.config('GET', '*')) as unknown[]
    expect(JSON.stringify(settings)).toContain('"databases","16"')
    expect(JSON.stringify(settings)).toContain('"maxmemory","16777216"')
    await redis.config('SET', 'slowlog-log-slower-than', '0')
    await redis.get('slow')
    await redis.config('SET', 'slowlog-log-slower-than', '-1')
    expect(await redis.slowlog('LEN')).toBeGreaterThan(0)
    const [[id, time, duration]] = (await redis.slowlog('GET', 1)) as [[number, number, number]]
    for (const number of [id, time, duration]) expect(number).toBeGreaterThanOrEqual(0)
    expect(await redis.latency('LATEST')).toEqual([])
    expect(await redis.latency('HISTOGRAM', 'get')).toEqual([
      'get',
      ['calls', expect.any(Number), 'histogram_usec', expect.any(Array)],
    ])
  })
})
