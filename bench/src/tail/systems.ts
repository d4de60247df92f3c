/** The stores of the tail table as one client sees them. Objects go in and come out as objects. */
import { Redis } from 'ioredis'
import { open as openLmdb } from 'lmdb'
import { Packr } from 'msgpackr'
import { connect } from '../../../dist/index.js'
import { Memcached } from '../support/memcached.js'

export interface System {
  get(key: string): unknown
  set(key: string, value: unknown): Promise<unknown>
  close(): unknown
}

const packr = new Packr()
const unpack = (bytes: Buffer | null | undefined) => (bytes ? packr.unpack(bytes) : undefined)

export const systems: Record<string, (place: string) => Promise<System>> = {
  async ramcache(url) {
    const cache = await connect(url)
    return {
      // From shared memory; over the socket only what is not in RAM.
      get: (key) => cache.getSync(key) ?? cache.get(key),
      set: (key, value) => cache.set(key, value),
      close: () => cache.close(),
    }
  },
  async redis(socket) {
    const redis = new Redis(socket)
    return {
      get: async (key) => unpack(await redis.getBuffer(key)),
      set: (key, value) => redis.set(key, packr.pack(value)),
      close: () => redis.disconnect(),
    }
  },
  async memcached(socket) {
    const memcached = await Memcached.open(socket)
    return {
      get: async (key) => unpack(await memcached.get(key)),
      set: (key, value) => memcached.set(key, packr.pack(value)),
      close: () => memcached.close(),
    }
  },
  async lmdb(path) {
    const db = openLmdb<unknown, string>({ path, sharedStructuresKey: Symbol.for('structures') })
    return {
      get: (key) => db.get(key),
      set: (key, value) => db.put(key, value),
      close: () => db.close(),
    }
  },
}
