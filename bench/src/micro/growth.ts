/** The longest set while the index grows from 1,000 keys to 10 million, and how a plain Map does beside it. */
import { open } from '../../../dist/index.js'
import type { BenchOptions } from '../main.js'
import { removeDir, temporaryDir } from '../support/child.js'
import type { Row } from '../support/compare.js'
import { keyOf } from '../support/keys.js'

export async function growth({ isSmall }: BenchOptions): Promise<Row[]> {
  const last = isSmall ? 100_000 : 10_000_000
  const dir = temporaryDir()
  const cache = await open({ dir, tiers: { ssd: false }, memory: isSmall ? '64mb' : '2gb' })
  const map = new Map<string, string>()
  const rows: Row[] = []
  for (const [name, set] of [
    ['ramcache', (key: string) => void cache.set(key, 'v')],
    ['Map', (key: string) => void map.set(key, 'v')],
  ] as const) {
    for (let index = 0; index < 1000; index++) set(keyOf(index))
    rows.push(...grow(name, last, set))
  }
  const { entries, evictions } = (await cache.stats()).tiers.ram
  if (entries !== last || evictions !== 0) throw new Error(`${entries} entries, ${evictions} evicted`)
  await cache.close()
  removeDir(dir)
  return rows
}

function grow(name: string, last: number, set: (key: string) => void): Row[] {
  let longest = 0
  let over1ms = 0
  const startedAt = process.hrtime.bigint()
  for (let index = 1000; index < last; index++) {
    const key = keyOf(index)
    const before = process.hrtime.bigint()
    set(key)
    const ns = Number(process.hrtime.bigint() - before)
    if (ns > longest) longest = ns
    if (ns > 1e6) over1ms++
  }
  const mean = Number(process.hrtime.bigint() - startedAt) / (last - 1000)
  console.log(
    `${name.padEnd(10)} 1 k to ${last} keys: longest set ${(longest / 1000).toFixed(0)} us, ${over1ms} over 1 ms, mean ${mean.toFixed(0)} ns`,
  )
  return [{ what: 'longest set while growing', name, nsPerOperation: longest, checksum: over1ms, ratio: 1 }]
}
