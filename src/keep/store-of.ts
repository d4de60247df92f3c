/** What lies under a cache, for what works on whole stores. */
import { RamcacheError, show } from '../base/errors.ts'
import type { OwnedBlobs } from '../cache/blobs.ts'
import { blobsOf, engineOf, type Home, homeOf } from '../cache/internal.ts'
import type { Cache } from '../cache/types.ts'
import type { Engine } from '../native/engine.ts'

export interface OpenStore {
  readonly engine: Engine
  readonly blobs: OwnedBlobs
  readonly home: Home
}

/** Throws ERR_RAMCACHE_CONFIG for everything but what `open()` has returned in this process. */
export function storeOf(cache: Cache, where: string): OpenStore {
  const home = typeof cache === 'object' && cache !== null ? homeOf(cache) : undefined
  if (home === undefined) {
    throw new RamcacheError(
      'ERR_RAMCACHE_CONFIG',
      `${where} takes the cache that open() has returned, not ${show(cache)}: not one of its namespaces, and none of attach()`,
    )
  }
  return { engine: engineOf(cache) as Engine, blobs: blobsOf(cache) as OwnedBlobs, home }
}
