/** The metrics as text: every sample has its family, names follow the conventions, labels are escaped. */
import { expect, it } from 'vitest'
import { prometheusText } from '../../src/observe/prometheus.ts'

const disk = { entries: 1, bytes: 2, hits: 3, demotedIn: 4, promotedOut: 5 }
const latency = { p50Us: 1.5, p99Us: 20, p999Us: 300 }
const stats = {
  version: '1.2.3',
  uptimeSeconds: 60,
  clients: 2,
  hits: 90,
  misses: 10,
  sets: 7,
  deletes: 1,
  expired: 3,
  latency: { get: latency, set: latency },
  tiers: {
    ram: { entries: 11, bytes: 12, hits: 13, budgetBytes: 14, overheadBytes: 15, evictions: 16 },
    ssd: disk,
    hdd: { ...disk, entries: 0 },
  },
  namespaces: { 'a"b\\c': { entries: 1, bytes: 2, hits: 3, misses: 4 } },
  durability: { dirtyBytes: 5, flushLagMs: 250, poisoned: true },
}

it('has the numbers of the store', () => {
  const text = prometheusText(stats)
  for (const line of [
    'ramcache_reads_total{result="hit"} 90',
    'ramcache_entries{tier="ram"} 11',
    'ramcache_entries{tier="hdd"} 0',
    'ramcache_namespace_reads_total{ns="a\\"b\\\\c",result="miss"} 4',
    'ramcache_operation_seconds{op="get",quantile="0.5"} 0.0000015',
    'ramcache_flush_lag_seconds 0.25',
    'ramcache_poisoned 1',
    'ramcache_info{version="1.2.3"} 1',
  ]) {
    expect(text.split('\n')).toContain(line)
  }
})

it('names families once, counters with _total, and only the labels of the contract', () => {
  const lines = prometheusText(stats).trimEnd().split('\n')
  const types = new Map<string, string>()
  for (const line of lines) {
    const [, name, type] = /^# TYPE (\S+) (\S+)$/.exec(line) ?? []
    if (name === undefined) continue
    expect(types.has(name)).toBe(false)
    types.set(name, type as string)
    expect(name.endsWith('_total')).toBe(type === 'counter')
  }
  for (const line of lines.filter((line) => !line.startsWith('#'))) {
    const [, name = '', labels = ''] = /^(\w+)(?:\{(.*)\})? \S+$/.exec(line) ?? []
    expect(types.has(name), line).toBe(true)
    for (const [, label] of labels.matchAll(/(?:^|,)(\w+)="/g)) {
      expect(['ns', 'tier', 'op', 'result', 'peer', 'quantile', 'version']).toContain(label)
    }
  }
})
