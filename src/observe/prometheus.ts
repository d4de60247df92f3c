/**
 * Statistics as Prometheus text. One table: name, help, type, where the number comes from. Base units (seconds, bytes,
 * ratios), `_total` for counters, never a key in a label.
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 */

/** The part of `Stats` that is shown, so that this room knows nothing of the cache. */
export interface ShownStats {
  readonly version: string
  readonly uptimeSeconds: number
  readonly clients: number
  readonly hits: number
  readonly misses: number
  readonly sets: number
  readonly deletes: number
  readonly expired: number
  readonly latency: Readonly<Record<'get' | 'set', ShownLatency>>
  readonly tiers: {
    readonly ram: {
      readonly entries: number
      readonly bytes: number
      readonly hits: number
      readonly budgetBytes: number
      readonly overheadBytes: number
      readonly evictions: number
    }
    readonly ssd: ShownDisk
    readonly hdd: ShownDisk
  }
  readonly namespaces: Readonly<
    Record<
      string,
      { readonly entries: number; readonly bytes: number; readonly hits: number; readonly misses: number }
    >
  >
  readonly durability: {
    readonly dirtyBytes: number
    readonly flushLagMs: number
    readonly poisoned: boolean
  }
}

interface ShownLatency {
  readonly p50Us: number
  readonly p99Us: number
  readonly p999Us: number
}

interface ShownDisk {
  readonly entries: number
  readonly bytes: number
  readonly hits: number
  readonly demotedIn: number
  readonly promotedOut: number
}

type Sample = readonly [labels: Readonly<Record<string, string>>, value: number]

interface Family {
  readonly name: string
  readonly type: 'counter' | 'gauge' | 'summary'
  readonly help: string
  readonly samples: (stats: ShownStats) => readonly Sample[]
}

const plain =
  (value: (stats: ShownStats) => number): Family['samples'] =>
  (stats) => [[{}, value(stats)]]

const byTier =
  (value: (tier: ShownStats['tiers']['ram'] | ShownDisk) => number): Family['samples'] =>
  ({ tiers }) =>
    (['ram', 'ssd', 'hdd'] as const).map((tier) => [{ tier }, value(tiers[tier])])

const byDisk =
  (value: (tier: ShownDisk) => number): Family['samples'] =>
  ({ tiers }) =>
    (['ssd', 'hdd'] as const).map((tier) => [{ tier }, value(tiers[tier])])

const byNamespace =
  (value: (namespace: ShownStats['namespaces'][string]) => number): Family['samples'] =>
  ({ namespaces }) =>
    Object.entries(namespaces).map(([ns, counts]) => [{ ns }, value(counts)])

const quantiles = { '0.5': 'p50Us', '0.99': 'p99Us', '0.999': 'p999Us' } as const

const families: readonly Family[] = [
  {
    name: 'ramcache_info',
    type: 'gauge',
    help: 'Always 1; its label says the version.',
    samples: ({ version }) => [[{ version }, 1]],
  },
  {
    name: 'ramcache_uptime_seconds',
    type: 'gauge',
    help: 'Seconds since the store was opened.',
    samples: plain((stats) => stats.uptimeSeconds),
  },
  {
    name: 'ramcache_clients',
    type: 'gauge',
    help: 'Processes and connections that use the store.',
    samples: plain((stats) => stats.clients),
  },
  {
    name: 'ramcache_reads_total',
    type: 'counter',
    help: 'Reads of all processes, from shared memory too, by result.',
    samples: ({ hits, misses }) => [
      [{ result: 'hit' }, hits],
      [{ result: 'miss' }, misses],
    ],
  },
  {
    name: 'ramcache_writes_total',
    type: 'counter',
    help: 'Writes by kind.',
    samples: ({ sets, deletes }) => [
      [{ op: 'set' }, sets],
      [{ op: 'delete' }, deletes],
    ],
  },
  {
    name: 'ramcache_expired_total',
    type: 'counter',
    help: 'Entries that were removed because their time had come.',
    samples: plain((stats) => stats.expired),
  },
  {
    name: 'ramcache_evictions_total',
    type: 'counter',
    help: 'Entries that left RAM for want of room.',
    samples: plain((stats) => stats.tiers.ram.evictions),
  },
  {
    name: 'ramcache_entries',
    type: 'gauge',
    help: 'Live entries by tier.',
    samples: byTier((tier) => tier.entries),
  },
  {
    name: 'ramcache_payload_bytes',
    type: 'gauge',
    help: 'Bytes of live keys and encoded values by tier.',
    samples: byTier((tier) => tier.bytes),
  },
  {
    name: 'ramcache_tier_hits_total',
    type: 'counter',
    help: 'Reads by the tier that answered them.',
    samples: byTier((tier) => tier.hits),
  },
  {
    name: 'ramcache_demoted_total',
    type: 'counter',
    help: 'Entries that came down to a tier.',
    samples: byDisk((tier) => tier.demotedIn),
  },
  {
    name: 'ramcache_promoted_total',
    type: 'counter',
    help: 'Entries that went up from a tier.',
    samples: byDisk((tier) => tier.promotedOut),
  },
  {
    name: 'ramcache_memory_budget_bytes',
    type: 'gauge',
    help: 'Memory the store may take.',
    samples: plain((stats) => stats.tiers.ram.budgetBytes),
  },
  {
    name: 'ramcache_memory_overhead_bytes',
    type: 'gauge',
    help: 'Memory taken beyond keys and values.',
    samples: plain((stats) => stats.tiers.ram.overheadBytes),
  },
  {
    name: 'ramcache_namespace_entries',
    type: 'gauge',
    help: 'Live entries in RAM by namespace.',
    samples: byNamespace(({ entries }) => entries),
  },
  {
    name: 'ramcache_namespace_bytes',
    type: 'gauge',
    help: 'Bytes of live keys and encoded values in RAM by namespace.',
    samples: byNamespace(({ bytes }) => bytes),
  },
  {
    name: 'ramcache_namespace_reads_total',
    type: 'counter',
    help: 'Reads by namespace and result.',
    samples: ({ namespaces }) =>
      Object.entries(namespaces).flatMap(([ns, { hits, misses }]): Sample[] => [
        [{ ns, result: 'hit' }, hits],
        [{ ns, result: 'miss' }, misses],
      ]),
  },
  {
    name: 'ramcache_operation_seconds',
    type: 'summary',
    help: 'Time of operations in the store, sampled.',
    samples: ({ latency }) =>
      (['get', 'set'] as const).flatMap((op) =>
        Object.entries(quantiles).map(
          ([quantile, field]): Sample => [{ op, quantile }, latency[op][field] / 1e6],
        ),
      ),
  },
  {
    name: 'ramcache_dirty_bytes',
    type: 'gauge',
    help: 'Bytes of changes that a power cut would take now.',
    samples: plain((stats) => stats.durability.dirtyBytes),
  },
  {
    name: 'ramcache_flush_lag_seconds',
    type: 'gauge',
    help: 'Age of the oldest change that is not durable yet.',
    samples: plain((stats) => stats.durability.flushLagMs / 1000),
  },
  {
    name: 'ramcache_poisoned',
    type: 'gauge',
    help: '1 when a write or sync has failed and writes are refused.',
    samples: plain((stats) => (stats.durability.poisoned ? 1 : 0)),
  },
]

/** Version 0.0.4 of the text format. */
export const prometheusType = 'text/plain; version=0.0.4; charset=utf-8'

export function prometheusText(stats: ShownStats): string {
  return families.map((family) => textOf(family, stats)).join('')
}

function textOf({ name, type, help, samples }: Family, stats: ShownStats): string {
  const lines = samples(stats).map(([labels, value]) => `${name}${labelText(labels)} ${value}\n`)
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`
}

function labelText(labels: Readonly<Record<string, string>>): string {
  const parts = Object.entries(labels).map(([label, value]) => `${label}="${escaped(value)}"`)
  return parts.length === 0 ? '' : `{${parts.join(',')}}`
}

function escaped(value: string): string {
  return value.replace(/[\\"\n]/g, (character) => (character === '\n' ? '\\n' : `\\${character}`))
}
