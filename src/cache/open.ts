/** How a cache comes about: options are checked, the native store is opened or attached, the cache is put over it. */
import { validateAttach, validateOpen } from '../config/open-options.ts'
import type { AttachOptions, OpenOptions } from '../config/options.ts'
import { attachEngine, openEngine } from '../native/open.ts'
import { TierScans } from '../owner/scans.ts'
import { startServer } from '../owner/server.ts'
import { leaveTiers, startTiers, tiersStopped } from '../owner/tiers.ts'
import { Blobs, OwnedBlobs } from './blobs.ts'
import { ownerCache } from './cache.ts'
import { registerEngine } from './internal.ts'
import { readonlyCache } from './read-cache.ts'
import type { Cache, ReadonlyCache } from './types.ts'

/**
 * Opens the store of a directory as its owner. Threads of one process may open it several times and share it.
 *
 * Rejects with ERR_RAMCACHE_CONFIG for options that are unknown, malformed or not supported by this version, with
 * ERR_RAMCACHE_LOCKED when another process owns the directory, with ERR_RAMCACHE_FULL when there is not enough shared
 * memory, and with ERR_RAMCACHE_UNAVAILABLE when the directory cannot be used or the native part is missing.
 */
export async function open(options: OpenOptions): Promise<Cache> {
  const validated = validateOpen(options)
  const { dir, ssd, hdd, internal } = validated
  await tiersStopped(dir)
  const engine = openEngine(validated)
  const { listen, namespaces } = validated
  try {
    if (ssd !== undefined) {
      const { fileBytes, ssdBudgetBytes = ssd.budgetBytes, warms = true } = internal ?? {}
      await startTiers(engine, { dir, ssd: { ...ssd, budgetBytes: ssdBudgetBytes }, hdd, fileBytes, warms })
    }
    if (listen !== false) startServer(engine.native, { dir, path: listen, namespaces, internal })
  } catch (error) {
    engine.close()
    throw error
  }
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
