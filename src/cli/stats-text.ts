/** Statistics for the eye: tiers, namespaces, latency, durability. */
import type { Stats } from '../index.ts'
import { sizeOf } from './offline.ts'
import { durationText, percent, table } from './show.ts'

export function statsText(stats: Stats): string {
  const { owner, tiers, latency, durability } = stats
  const disk = ([name, tier]: readonly [string, Stats['tiers']['ssd']]) => [
    name,
    String(tier.entries),
    sizeOf(tier.bytes),
    String(tier.hits),
    `${tier.demotedIn} in`,
    `${tier.promotedOut} out`,
  ]
  return [
    `ramcache ${stats.version}, ${owner.mode}, pid ${owner.pid}, up ${durationText(stats.uptimeSeconds * 1000)}, clients ${stats.clients}\n`,
    `hit rate ${percent(stats.hitRate)}: ${stats.hits} hits, ${stats.misses} misses; ${stats.sets} sets, ${stats.deletes} deletes, ${stats.expired} expired\n`,
    '\n',
    table(
      ['tier', 'entries', 'bytes', 'hits', 'moved', ''],
      [
        [
          'ram',
          String(tiers.ram.entries),
          sizeOf(tiers.ram.bytes),
          String(tiers.ram.hits),
          `${tiers.ram.evictions} out`,
          '',
        ],
        disk(['ssd', tiers.ssd]),
        disk(['hdd', tiers.hdd]),
      ],
    ),
    `ram: ${sizeOf(tiers.ram.budgetBytes)} budget, ${sizeOf(tiers.ram.overheadBytes)} beyond keys and values\n`,
    '\n',
    namespacesText(stats),
    '\n',
    table(
      ['in the store', 'p50 µs', 'p99 µs', 'p99.9 µs', 'max µs'],
      (['get', 'set'] as const).map((name) => [
        name,
        ...[latency[name].p50Us, latency[name].p99Us, latency[name].p999Us, latency[name].maxUs].map((us) =>
          us.toFixed(1),
        ),
      ]),
    ),
    `\n${durability.poisoned ? 'POISONED: writes are refused; ' : ''}not durable yet: ${sizeOf(durability.dirtyBytes)}, ${durationText(durability.flushLagMs)} behind\n`,
  ].join('')
}

export function namespacesText({ namespaces }: Stats): string {
  const rows = Object.entries(namespaces).sort(([, left], [, right]) => right.bytes - left.bytes)
  return table(
    ['namespace', 'entries', 'bytes', 'hits', 'misses', 'hit rate'],
    rows.map(([name, { entries, bytes, hits, misses, hitRate }]) => [
      name,
      String(entries),
      sizeOf(bytes),
      String(hits),
      String(misses),
      percent(hitRate),
    ]),
  )
}
