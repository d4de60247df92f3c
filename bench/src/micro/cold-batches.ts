/**
 * Key-sorted batches into the LevelDB tier while it grows: megabytes a second, the longest batch, bytes written for each
 * byte saved. Keys are new and random. RAMCACHE_BENCH_COLD_MB replaces the size.
 */
import { HddTier } from '../../../dist/tiers/hdd.js'
import type { BenchOptions } from '../main.js'
import { removeDir, temporaryDir } from '../support/child.js'
import type { Row } from '../support/compare.js'
import { folderBytes, numbersOf, writtenBytes } from '../support/io.js'
import { random, SEED } from '../support/keys.js'

const recordBytes = 1024
const batchEntries = 8192

export async function coldBatches({ isSmall }: BenchOptions): Promise<Row[]> {
  const [megabytes = 0] = numbersOf('RAMCACHE_BENCH_COLD_MB', [isSmall ? 16 : 10_240])
  const dir = temporaryDir()
  const tier = new HddTier(dir)
  await tier.open()
  const next = random()
  // Half of it compresses, as texts and rows do.
  const noise = Buffer.alloc(1 << 20)
  for (let at = 0; at < noise.length; at += 4) noise.writeUInt32LE(next(), at)
  const batchCount = Math.max(2, Math.round((megabytes * 1e6) / (batchEntries * recordBytes)))
  const writtenBefore = writtenBytes()
  const startedAt = performance.now()
  let saved = 0
  let longest = 0
  let version = 1n
  let reported = 0
  for (let batch = 0; batch < batchCount; batch++) {
    const entries = Array.from({ length: batchEntries }, (_, n) => {
      const id = batch * batchEntries + n
      const key = Buffer.from(`\0\u0001${String(Math.imul(id, 0x9e37_79b1) >>> 0).padStart(10, '0')}${id}`)
      const record = Buffer.alloc(recordBytes, 'a')
      const from = next() % (noise.length - recordBytes)
      noise.copy(record, 0, from, from + recordBytes / 2)
      saved += key.length + recordBytes
      return { key, record, version: version++, expiresAt: 0 }
    })
    const before = performance.now()
    await tier.save(entries)
    longest = Math.max(longest, performance.now() - before)
    if (saved - reported > 1e9) {
      reported = saved
      console.log(
        `${(saved / 1e9).toFixed(1)} GB: ${(saved / 1000 / (performance.now() - startedAt)).toFixed(0)} MB/s so far`,
      )
    }
  }
  const ms = performance.now() - startedAt
  const { entries } = await tier.stats()
  if (entries !== batchCount * batchEntries) throw new Error(`${entries} entries in the tier`)
  await tier.close()
  const written = (writtenBytes() - writtenBefore) / saved
  console.log(
    `seed ${SEED}: ${(saved / 1e6).toFixed(0)} MB in batches of ${batchEntries}: ${(saved / 1000 / ms).toFixed(1)} MB/s, longest batch ${longest.toFixed(0)} ms, ${written.toFixed(2)} bytes written per byte, ${(folderBytes(dir) / saved).toFixed(2)} bytes of file per byte`,
  )
  removeDir(dir)
  return [
    {
      what: `cold batches, ${megabytes} MB`,
      name: 'LevelDB tier',
      nsPerOperation: (ms * 1e6) / entries,
      checksum: Math.round(longest),
      ratio: 1,
    },
  ]
}
