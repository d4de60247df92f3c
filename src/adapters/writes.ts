/** Writes of many entries whose times to live may differ, which a `setMany` of a cache cannot say. */
import type { Cache } from '../index.ts'
import { storableTtl } from './checks.ts'

/** How long an entry stays: `{}` as its namespace says; `'over'` when it has ended already. */
export type Lifetime = { readonly ttl?: number } | 'over'

export interface Write {
  readonly key: string
  readonly value: unknown
  readonly lifetime: Lifetime
}

export function lifetimeOf(ms: number): Lifetime {
  const ttl = storableTtl(ms)
  return ttl === undefined ? 'over' : { ttl }
}

export async function writeOne(cache: Cache, { key, value, lifetime }: Write): Promise<void> {
  if (lifetime === 'over') await cache.delete(key)
  else await cache.set(key, value, lifetime)
}

/** Those with the same time to live are stored as a group: all of them or none. The last of equal keys counts. */
export async function writeMany(cache: Cache, writes: Iterable<Write>): Promise<void> {
  const groups = new Map<number | 'over' | undefined, Write[]>()
  const last = new Map(Array.from(writes, (write) => [write.key, write]))
  for (const write of last.values()) {
    const ttl = write.lifetime === 'over' ? 'over' : write.lifetime.ttl
    const group = groups.get(ttl)
    if (group === undefined) groups.set(ttl, [write])
    else group.push(write)
  }
  for (const [ttl, group] of groups) {
    if (ttl === 'over') await cache.deleteMany(group.map(({ key }) => key))
    else {
      const entries = group.map(({ key, value }) => [key, value] as const)
      await cache.setMany(entries, ttl === undefined ? {} : { ttl })
    }
  }
}
