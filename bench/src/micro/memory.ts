/** Memory per entry beyond key and value: by the store's own count, and by the process's resident size. */
import { readFileSync } from 'node:fs'
import { open } from '../../../dist/index.js'
import type { BenchOptions } from '../main.js'
import { removeDir, temporaryDir } from '../support/child.js'
import type { Row } from '../support/compare.js'
import { keyOf, value100 } from '../support/keys.js'

export async function memory({ isSmall }: BenchOptions): Promise<Row[]> {
  const entries = isSmall ? 20_000 : 2_000_000
  const rows: Row[] = []
  for (const [what, ttl] of [
    ['100 B without TTL', undefined],
    ['100 B with TTL', 3_600_000],
  ] as const) {
    const dir = temporaryDir()
    const before = sharedResident()
    const cache = await open({ dir, tiers: { ssd: false }, memory: isSmall ? '4mb' : '512mb' })
    for (let index = 0; index < entries; index++) {
      await cache.set(keyOf(index), value100(index), ttl === undefined ? undefined : { ttl })
    }
    const { ram } = (await cache.stats()).tiers
    const resident = sharedResident() - before
    const counted = ram.overheadBytes / ram.entries
    const measured = (resident - ram.bytes) / ram.entries
    await cache.close()
    removeDir(dir)
    const numbers = `${counted.toFixed(1)} B counted, ${measured.toFixed(1)} B by RssShmem`
    console.log(
      `${what.padEnd(20)} ${ram.entries} entries: ${numbers} beyond key and value; evicted ${ram.evictions}`,
    )
    rows.push({
      what: `bytes per entry, ${what}`,
      name: 'ramcache',
      nsPerOperation: counted,
      checksum: ram.entries,
      ratio: 1,
    })
  }
  return rows
}

function sharedResident(): number {
  const found = /^RssShmem:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'))
  return Number(found?.[1] ?? 0) * 1024
}
