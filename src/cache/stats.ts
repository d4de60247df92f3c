/** Plain counters of the store, in the shape that is shown to people and programs. */
import { version } from '../base/version.ts'
import type { EngineCounters } from '../native/engine.ts'
import type { DiskTierStats, NamespaceStats, Stats } from './types.ts'

const noDurability = { dirtyBytes: 0, flushLagMs: 0, poisoned: false, replayedBytes: 0 }
const noDisk: DiskTierStats = { entries: 0, bytes: 0, hits: 0, demotedIn: 0, promotedOut: 0, evictions: 0 }

export function statsOf(counters: EngineCounters, owner: Stats['owner'], uptimeSeconds: number): Stats {
  const { hits, misses, below } = counters
  return {
    version,
    uptimeSeconds,
    owner,
    clients: counters.clients,
    hits,
    misses,
    hitRate: rate(hits, misses),
    sets: counters.sets,
    deletes: counters.deletes,
    expired: counters.expired,
    latency: { get: counters.latencyGet, set: counters.latencySet },
    tiers: {
      ram: {
        entries: counters.entries,
        bytes: counters.bytes,
        budgetBytes: counters.budgetBytes,
        overheadBytes: counters.overheadBytes,
        hits: Math.max(0, hits - (below?.ssd.hits ?? 0) - (below?.hdd.hits ?? 0)),
        evictions: counters.evictions,
      },
      ssd: { ...noDisk, ...below?.ssd },
      hdd: { ...noDisk, ...below?.hdd },
    },
    namespaces: namespacesOf(counters),
    durability: below?.durability ?? noDurability,
    peers: [],
  }
}

function namespacesOf(counters: EngineCounters): Record<string, NamespaceStats> {
  const stats: Record<string, NamespaceStats> = {}
  for (const [name, { entries, bytes, hits, misses, ...quota }] of Object.entries(counters.namespaces)) {
    // Defined, not assigned: a namespace may be called `__proto__`.
    Object.defineProperty(stats, name, {
      value: { entries, bytes, hits, misses, hitRate: rate(hits, misses), ...quota },
      enumerable: true,
    })
  }
  return stats
}

function rate(hits: number, misses: number): number {
  return hits === 0 ? 0 : hits / (hits + misses)
}
