/**
 * What writers and other readers cost a reader: alone, then beside a second reading process while the owner writes
 * 20,000 entries a second. The same process, the same keys, turns taken.
 */
import { attach } from '../../../dist/index.js'
import type { BenchOptions } from '../main.js'
import { removeDir, startChild, temporaryDir } from '../support/child.js'
import { median, printRows, type Row } from '../support/compare.js'
import { freshKeys, random, SEED } from '../support/keys.js'

const PUTS_PER_SECOND = 20_000
const BATCH = 20_000

export async function contention({ isSmall }: BenchOptions): Promise<Row[]> {
  const entries = isSmall ? 10_000 : 1_000_000
  const dir = temporaryDir()
  const owner = await startChild('support/owner.js', [dir, String(entries), 'strings'])
  const other = await startChild('micro/contention-reader.js', [dir, String(entries)])
  const cache = await attach({ dir: `${dir}/ramcache` })
  console.log(`${entries} entries, ${PUTS_PER_SECOND} puts/s, uniform fresh keys, seed ${SEED}`)
  const next = random()
  let checksum = 0
  const read = () => {
    const keys = freshKeys(BATCH, entries, next)
    const startedAt = process.hrtime.bigint()
    for (const key of keys) checksum += cache.getSync<string>(key)?.length ?? 0
    return Number(process.hrtime.bigint() - startedAt) / BATCH
  }
  for (let warm = 0; warm < (isSmall ? 1 : 30); warm++) read()
  const samples: Record<'alone' | 'beside', number[]> = { alone: [], beside: [] }
  for (let round = 0; round < (isSmall ? 1 : 10); round++) {
    for (const state of ['alone', 'beside'] as const) {
      const isBusy = state === 'beside'
      await owner.ask({ write: isBusy ? PUTS_PER_SECOND : 0 })
      await other.ask({ read: isBusy })
      for (let batch = 0; batch < (isSmall ? 1 : 20); batch++) samples[state].push(read())
    }
  }
  await other.stop()
  await cache.close()
  await owner.stop()
  removeDir(dir)
  const alone = median(samples.alone)
  const beside = median(samples.beside)
  const what = 'get beside a reader and 20,000 puts/s'
  const rows = [
    { what, name: 'alone', nsPerOperation: alone, checksum, ratio: 1 },
    { what, name: 'beside', nsPerOperation: beside, checksum, ratio: beside / alone },
  ]
  printRows(rows)
  return rows
}
