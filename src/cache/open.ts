/** How a cache comes about: options are checked, the native store is opened or attached, the cache is put over it. */
import { RamcacheError } from '../base/errors.ts'
import { RemoteStore } from '../client/remote-store.ts'
import { validateConnect } from '../config/connect-options.ts'
import { type ValidatedOpen, validateAttach, validateOpen } from '../config/open-options.ts'
import type { AttachOptions, ConnectOptions, OpenOptions } from '../config/options.ts'
import { attachEngine, openEngine } from '../native/open.ts'
import { publish } from '../observe/events.ts'
import { TierScans } from '../owner/scans.ts'
import { letNobodyJoin, startServer } from '../owner/server.ts'
import { leaveTiers, startTiers, tiersStopped } from '../owner/tiers.ts'
import { Blobs, OwnedBlobs } from './blobs.ts'
import { ownerCache } from './cache.ts'
import { registerEngine } from './internal.ts'
import { joinedCache } from './joined.ts'
import { readonlyCache } from './read-cache.ts'
import { remoteCache } from './remote-cache.ts'
import type { Cache, ReadonlyCache } from './types.ts'

/**
 * Opens the store of a directory: as its owner, or joined to the process that owns it. Threads of one process may open it
 * several times and share it. Whoever has joined reads the same memory and writes through the owner; when that one is
 * gone, one of the joined processes becomes the owner, and nothing changes for the caller.
 *
 * Rejects with ERR_RAMCACHE_CONFIG for options that are unknown, malformed or not supported by this version, with
 * ERR_RAMCACHE_LOCKED when another process owns the directory and lets nobody join, with ERR_RAMCACHE_FULL when there is
 * not enough shared memory, and with ERR_RAMCACHE_UNAVAILABLE when the directory cannot be used, the owner does not
 * answer or the native part is missing.
 */
export async function open(options: OpenOptions): Promise<Cache> {
  const validated = validateOpen(options)
  try {
    return await own(validated)
  } catch (error) {
    const isLocked = error instanceof RamcacheError && error.code === 'ERR_RAMCACHE_LOCKED'
    // A daemon that is somebody's client would be none.
    const joins = validated.listen !== false && validated.internal?.isDaemon !== true
    if (!isLocked || !joins) throw error
    return joinedCache(validated, own)
  }
}

async function own(validated: ValidatedOpen): Promise<Cache> {
  const { dir, ssd, hdd, internal } = validated
  await tiersStopped(dir)
  const engine = openEngine(validated)
  const { listen, namespaces } = validated
  try {
    if (ssd !== undefined) {
      const { fileBytes, ssdBudgetBytes, hddBudgetBytes, warms = true } = internal ?? {}
      await startTiers(engine, {
        dir,
        ssd: { ...ssd, budgetBytes: ssdBudgetBytes ?? ssd.budgetBytes },
        hdd: hdd && { ...hdd, budgetBytes: hddBudgetBytes ?? hdd.budgetBytes },
        fileBytes,
        warms,
      })
    }
    if (listen === false) letNobodyJoin(engine.native)
    else startServer(engine.native, { dir, path: listen, namespaces, internal })
  } catch (error) {
    engine.close()
    throw error
  }
  publish('ramcache:own', () => ({ dir, start: engine.counters().start?.kind ?? 'fresh' }))
  const blobs = new OwnedBlobs(engine)
  const leave = () => leaveTiers(engine, dir)
  const scans = new TierScans(dir)
  return registerEngine(
    ownerCache(engine, blobs, validated.namespaces, validated.isFrozen, leave, scans),
    engine,
    blobs,
    {
      dir,
      ssdDir: ssd?.path,
      scans,
    },
  )
}

/**
 * A client of the process that listens at a socket, a path or `unix:///path`: reads its memory, and writes through it. It
 * never owns the store; when its owner is gone it connects to the next one. With `redis://[:PASSWORD@]HOST[:PORT]`, or
 * `rediss://` for TLS, a client of a daemon anywhere, whose reads go over the socket too: `getSync` finds nothing.
 *
 * Rejects with ERR_RAMCACHE_CONFIG for bad arguments, and with ERR_RAMCACHE_UNAVAILABLE when nobody answers there.
 */
export async function connect(url: string, options?: ConnectOptions): Promise<Cache> {
  const validated = validateConnect(url, options)
  const { path, remote, ownerTimeoutMs, nearEntries } = validated
  const link = {
    timeoutMs: ownerTimeoutMs,
    isHeir: false,
    path: () => path,
    remote,
    whileDown: () => Promise.resolve(),
  }
  const store = new RemoteStore(link, nearEntries)
  try {
    await store.link.open()
  } catch (error) {
    await store.link.close(0)
    throw error
  }
  return remoteCache(store, { ...validated, namespaces: {} })
}

/**
 * Reads the store that another process has open, straight out of its memory. What that process writes is seen at
 * once. When it is killed the last state stays readable; when it closes the store, reads reject with
 * ERR_RAMCACHE_CLOSED.
 *
 * Rejects with ERR_RAMCACHE_CONFIG for bad options, with ERR_RAMCACHE_UNAVAILABLE when nobody owns the directory, and
 * with ERR_RAMCACHE_CORRUPT when what lies there is not the memory of a store.
 */
export async function attach(options: AttachOptions): Promise<ReadonlyCache> {
  const validated = validateAttach(options)
  const engine = attachEngine(validated)
  const blobs = new Blobs(engine)
  return registerEngine(readonlyCache(engine, blobs, validated.isFrozen), engine, blobs)
}
