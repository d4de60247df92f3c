/** What one picture of `ramcache top` shows: the owner's counts, and what they have grown by since the picture before. */
import type { HotKeys } from '../../cache/questions.ts'
import type { DiskTierStats, Stats } from '../../index.ts'

export interface TopSample {
  /** Milliseconds since 1970. */
  readonly at: number
  readonly intervalSeconds: number
  readonly stats: Stats
  /** Of the reads in the interval; `undefined` when there were none. */
  readonly hitRate: number | undefined
  readonly perSecond: {
    readonly hits: number
    readonly misses: number
    readonly sets: number
    readonly deletes: number
    readonly expired: number
  }
  /** Hits, what came down from above and what left, a second. */
  readonly tiers: Readonly<Record<'ram' | 'ssd' | 'hdd', { hits: number; in: number; out: number }>>
  readonly roundTripUs: number
  readonly hot: HotKeys
}

export function sampleOf(
  before: Stats,
  after: Stats,
  measured: Pick<TopSample, 'at' | 'intervalSeconds' | 'roundTripUs' | 'hot'>,
): TopSample {
  // Another owner begins at 0: what it has counted is then all there is to say.
  const isSame = after.owner.pid === before.owner.pid && after.hits >= before.hits
  const rate = (now: number, then: number) =>
    Math.max(0, now - (isSame ? then : 0)) / measured.intervalSeconds
  const of = (name: 'hits' | 'misses' | 'sets' | 'deletes' | 'expired') => rate(after[name], before[name])
  const disk = (now: DiskTierStats, then: DiskTierStats) => ({
    hits: rate(now.hits, then.hits),
    in: rate(now.demotedIn, then.demotedIn),
    out: rate(now.promotedOut, then.promotedOut),
  })
  const [hits, misses] = [of('hits'), of('misses')]
  const [now, then] = [after.tiers, before.tiers]
  return {
    ...measured,
    stats: after,
    hitRate: hits + misses > 0 ? hits / (hits + misses) : undefined,
    perSecond: { hits, misses, sets: of('sets'), deletes: of('deletes'), expired: of('expired') },
    tiers: {
      ram: {
        hits: rate(now.ram.hits, then.ram.hits),
        in: of('sets'),
        out: rate(now.ram.evictions, then.ram.evictions),
      },
      ssd: disk(now.ssd, then.ssd),
      hdd: disk(now.hdd, then.hdd),
    },
  }
}
