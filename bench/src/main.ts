/**
 * `npm run bench [-- NAME... --small --json FILE]`: each benchmark prints both sides of every comparison, its seed and
 * sizes, and a checksum of the work. `--small` shows that they run, not how fast anything is.
 */
import { writeFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import type { Row } from './support/compare.js'

export interface BenchOptions {
  /** A round that takes seconds, for the tests. */
  readonly isSmall: boolean
}

type Benchmark = (options: BenchOptions) => Promise<Row[]>

const benchmarks: Record<string, () => Promise<Benchmark>> = {
  'call-cost': async () => (await import('./micro/call-cost.js')).callCost,
  reads: async () => (await import('./micro/reads.js')).reads,
  objects: async () => (await import('./micro/objects.js')).objects,
  shared: async () => (await import('./micro/shared.js')).shared,
  socket: async () => (await import('./micro/socket.js')).socket,
  contention: async () => (await import('./micro/contention.js')).contention,
  memory: async () => (await import('./micro/memory.js')).memory,
  growth: async () => (await import('./micro/growth.js')).growth,
  tail: async () => (await import('./tail/tail.js')).tail,
  disk: async () => (await import('./micro/disk.js')).disk,
  restart: async () => (await import('./micro/restart.js')).restart,
  'index-checkpoint': async () => (await import('./micro/index-checkpoint.js')).indexCheckpoint,
  'cold-batches': async () => (await import('./micro/cold-batches.js')).coldBatches,
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { small: { type: 'boolean', default: false }, json: { type: 'string' } },
})
const unknown = positionals.filter((name) => !(name in benchmarks))
if (unknown.length > 0) {
  console.error(`no benchmark ${unknown.join(', ')}; there are ${Object.keys(benchmarks).join(', ')}`)
  process.exit(2)
}

const machine = {
  cpu: cpus()[0]?.model,
  cores: cpus().length,
  node: process.version,
  loadBefore: loadavg()[0],
}
console.log(`machine: ${machine.cores} x ${machine.cpu}, node ${machine.node}, load ${machine.loadBefore}`)
const rows: Row[] = []
for (const name of positionals.length > 0 ? positionals : Object.keys(benchmarks)) {
  const load = benchmarks[name] as () => Promise<Benchmark>
  console.log(`\n== ${name}`)
  const benchmark = await load()
  rows.push(...(await benchmark({ isSmall: values.small })))
}
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ machine, rows }, null, 1)}\n`)
