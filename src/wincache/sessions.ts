/**
 * What WinCache says of its session cache. The sessions are those that the session handler of `examples/php` keeps. They are
 * not read for it: that would be a use, and keep all of them alive.
 */
import type { Cache, EntryInfo } from '../index.ts'
import type { Counts } from './counts.ts'
import { countEntries, describe } from './entries.ts'
import { rowsOf, type ScacheInfo } from './shapes.ts'

export const sessionNamespace = 'wincache-sessions'

export async function sessionInfo(root: Cache, counts: Counts, isSummary: boolean): Promise<ScacheInfo> {
  const cache = root.namespace(sessionNamespace)
  const entries: EntryInfo[] = []
  if (!isSummary) for await (const entry of cache.scan()) entries.push(entry)
  return {
    total_cache_uptime: (await root.stats()).uptimeSeconds,
    is_local_cache: false,
    total_item_count: isSummary ? await countEntries(cache, sessionNamespace) : entries.length,
    total_hit_count: await counts.total('scache hits'),
    total_miss_count: await counts.total('scache misses'),
    // PHP makes a text of every session.
    scache_entries: rowsOf(entries.map((entry) => describe({ ...entry, value: '' }, 0, true))),
  }
}
