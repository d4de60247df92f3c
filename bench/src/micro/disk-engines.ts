/** The engines of the disk benchmark, as one sees them who puts and gets. */
import { execFileSync } from 'node:child_process'
import { ClassicLevel } from 'classic-level'
import { open as openLmdb } from 'lmdb'
import { connect, open } from '../../../dist/index.js'
import { Memcached } from '../support/memcached.js'
import { startDaemon, startMemcached } from '../support/servers.js'

const batch = 500

export interface Engine {
  readonly name: string
  /** What it holds is there again when it is opened again. */
  readonly isLasting: boolean
  put(key: string, value: Buffer): Promise<unknown>
  /** Makes what was put durable. */
  sync(): Promise<unknown>
  get(key: string): Promise<Buffer | undefined>
  close(): Promise<unknown>
}

export type Open = (dir: string) => Promise<Engine>

export const ramcache =
  (memory: number): Open =>
  async (dir) => {
    const cache = await open({ dir: `${dir}/store`, memory })
    return {
      name: 'ramcache',
      isLasting: true,
      put: (key, value) => cache.set(key, value),
      sync: () => cache.flush(),
      get: (key) => cache.get<Buffer>(key),
      close: () => cache.close(),
    }
  }

/** The same from a process that does not own the store. */
export const connected =
  (memory: number): Open =>
  async (dir) => {
    const daemon = await startDaemon(`${dir}/store`, ['--memory', `${memory}b`])
    const cache = await connect(`unix://${daemon.socket}`)
    return {
      name: 'ramcache, another process',
      isLasting: true,
      put: (key, value) => cache.set(key, value),
      sync: () => cache.flush(),
      get: (key) => cache.get<Buffer>(key),
      close: async () => {
        await cache.close()
        await daemon.stop()
      },
    }
  }

export const lmdb: Open = async (dir) => {
  // The types do not know this one.
  const untyped = { noReadAhead: true }
  const db = openLmdb<Buffer, string>({ path: `${dir}/lmdb`, encoding: 'binary', ...untyped })
  return {
    name: 'lmdb-js, noReadAhead',
    isLasting: true,
    put: (key, value) => db.put(key, value),
    sync: () => db.flushed,
    get: async (key) => db.get(key),
    close: () => db.close(),
  }
}

export const level: Open = async (dir) => {
  const db = new ClassicLevel<string, Buffer>(`${dir}/level`, { valueEncoding: 'buffer', compression: false })
  await db.open()
  let waiting: { type: 'put'; key: string; value: Buffer }[] = []
  let done: Promise<unknown> = Promise.resolve()
  const write = (sync: boolean) => {
    const entries = waiting
    waiting = []
    done = done.then(() => db.batch(entries, { sync }))
    return done
  }
  return {
    name: 'classic-level, batches',
    isLasting: true,
    put: async (key, value) => {
      waiting.push({ type: 'put', key, value })
      if (waiting.length >= batch) await write(false)
    },
    sync: () => write(true),
    get: (key) => db.get(key),
    close: () => db.close(),
  }
}

/** memcached, with its values on the disk. */
export const extstore =
  (megabytes: number): Open =>
  async (dir) => {
    const path = `ext_path=${dir}/ext:${Math.ceil(megabytes / 512) + 1}G,ext_item_age=0,ext_threads=4`
    const server = await startMemcached(dir, [
      '-m',
      String(Math.max(64, Math.ceil(megabytes / 8))),
      '-o',
      path,
    ])
    const client = await Memcached.open(server.socket)
    return {
      name: 'memcached extstore',
      isLasting: false,
      put: (key, value) => client.set(key, value),
      sync: async () => {},
      get: (key) => client.get(key),
      close: async () => {
        client.close()
        await server.stop()
      },
    }
  }

export interface RawReads {
  /** Microseconds. */
  readonly p50: number
  readonly p99: number
  readonly perSecond: number
}

/** Random reads of 4 KiB of the disk itself, past the page cache. */
export function fio(dir: string, megabytes: number, inFlight: number): RawReads {
  const args = ['--name=reads', `--filename=${dir}/fio`, `--size=${megabytes}M`, '--rw=randread', '--bs=4k']
  const engine = inFlight === 1 ? ['--ioengine=psync'] : ['--ioengine=libaio', `--iodepth=${inFlight}`]
  const time = ['--direct=1', '--time_based', `--runtime=${megabytes < 100 ? 1 : 5}`, '--output-format=json']
  const output = execFileSync('fio', [...args, ...engine, ...time], { encoding: 'utf8' })
  const { read } = JSON.parse(output.slice(output.indexOf('{'))).jobs[0]
  const { percentile } = read.clat_ns
  return { p50: percentile['50.000000'] / 1000, p99: percentile['99.000000'] / 1000, perSecond: read.iops }
}
