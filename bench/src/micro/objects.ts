/**
 * A 1 KiB object, decoded on each get, from a process that does not own the store: beside LMDB with and without shared
 * structures, and ioredis with msgpackr on a Unix socket. benchmark.js runs the synchronous ones a second time.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import Benchmark from 'benchmark'
import { Redis } from 'ioredis'
import { open as openLmdb } from 'lmdb'
import { Packr } from 'msgpackr'
import { attach } from '../../../dist/index.js'
import type { BenchOptions } from '../main.js'
import { removeDir, startChild, temporaryDir } from '../support/child.js'
import { type Contender, compare, median, printRows, type Row } from '../support/compare.js'
import { freshKeys, keyOf, object1k, random, SEED } from '../support/keys.js'

const HOT = 1000

export async function objects({ isSmall }: BenchOptions): Promise<Row[]> {
  const entries = isSmall ? HOT : 100_000
  const dir = temporaryDir()
  const owner = await startChild('support/owner.js', [dir, String(entries), 'objects'])
  const cache = await attach({ dir: `${dir}/ramcache` })
  const shared = openLmdb({
    path: `${dir}/lmdb`,
    readOnly: true,
    sharedStructuresKey: Symbol.for('structures'),
  })
  const plain = openLmdb({ path: `${dir}/lmdb-plain`, readOnly: true })
  console.log(
    `${entries} objects of ${new Packr().pack(object1k(1)).length} B, ${HOT} of them read, seed ${SEED}`,
  )
  const contender = (name: string, get: (key: string) => unknown): Contender => {
    const next = random()
    let keys = freshKeys(HOT, HOT, next)
    return {
      name,
      operations: HOT,
      prepare: () => {
        keys = freshKeys(HOT, HOT, next)
      },
      batch: () => sumOfIds(keys, get),
    }
  }
  const contenders = [
    contender('ramcache getSync, attached', (key) => cache.getSync(key)),
    contender('lmdb-js, shared structures', (key) => shared.get(key)),
    contender('lmdb-js, default', (key) => plain.get(key)),
  ]
  const options = { rounds: isSmall ? 1 : 9, msPerRound: isSmall ? 10 : 150 }
  const rows = await compare('1 KiB object, decoded', contenders, options)
  rows.push(...(await againstRedis(rows[0] as Row, isSmall)))
  await secondOpinion(contenders, isSmall)
  await cache.close()
  await shared.close()
  await plain.close()
  await owner.stop()
  removeDir(dir)
  return rows
}

function sumOfIds(keys: string[], get: (key: string) => unknown): number {
  let sum = 0
  for (const key of keys) sum += (get(key) as { id: number }).id
  return sum
}

/** One outstanding request over a Unix socket. A machine without redis-server leaves this row out, and says so. */
async function againstRedis(ours: Row, isSmall: boolean): Promise<Row[]> {
  const dir = temporaryDir()
  const socket = `${dir}/redis.sock`
  const server = spawn(
    'redis-server',
    ['--port', '0', '--unixsocket', socket, '--save', '', '--appendonly', 'no'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  const failed = once(server, 'error').then(() => false)
  if (!(await Promise.race([failed, listening(server.stdout)]))) {
    console.log('redis-server is not installed (Debian: apt-get install redis-server): no row beside ioredis')
    removeDir(dir)
    return []
  }
  const redis = new Redis(socket)
  const packr = new Packr()
  for (let index = 0; index < HOT; index++) await redis.set(keyOf(index), packr.pack(object1k(index)))
  const keys = freshKeys(isSmall ? 200 : 20_000, HOT)
  const samples: number[] = []
  let checksum = 0
  for (const key of keys) {
    const startedAt = process.hrtime.bigint()
    const bytes = await redis.getBuffer(key)
    checksum += (packr.unpack(bytes as Buffer) as { id: number }).id
    samples.push(Number(process.hrtime.bigint() - startedAt))
  }
  redis.disconnect()
  server.kill()
  await once(server, 'exit')
  removeDir(dir)
  const nsPerOperation = median(samples)
  const name = 'ioredis + msgpackr, p50'
  const row = { what: ours.what, name, nsPerOperation, checksum, ratio: nsPerOperation / ours.nsPerOperation }
  printRows([row])
  return [row]
}

async function listening(output: NodeJS.ReadableStream): Promise<boolean> {
  for await (const chunk of output) {
    if (String(chunk).includes('eady to accept connections')) return true
  }
  return false
}

async function secondOpinion(contenders: Contender[], isSmall: boolean): Promise<void> {
  const suite = new Benchmark.Suite()
  let checksum = 0
  const limits = isSmall ? { maxTime: 0.02, minSamples: 1 } : { maxTime: 2 }
  for (const { name, batch } of contenders) {
    const body = () => {
      checksum += batch()
    }
    suite.add(name, body, limits)
  }
  await new Promise<void>((resolve) => {
    suite.on('complete', () => resolve()).run({ async: true })
  })
  for (let index = 0; index < suite.length; index++) {
    const { name, hz } = (suite as unknown as { name: string; hz: number }[])[index] as {
      name: string
      hz: number
    }
    const ns = 1e9 / (hz * HOT)
    console.log(`  benchmark.js: ${name.padEnd(28)} ${ns.toFixed(0).padStart(6)} ns`)
  }
  console.log(`  benchmark.js: checksum ${checksum}`)
}
