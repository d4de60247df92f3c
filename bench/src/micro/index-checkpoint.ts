/**
 * Checkpoints of random keys into the LMDB index of the value log that already holds N keys, by batch size: keys a
 * second, bytes written for each key, bytes of file for each key, the longest time the thread was blocked.
 * RAMCACHE_BENCH_KEYS and RAMCACHE_BENCH_BATCHES replace the sizes.
 */
import { statSync } from 'node:fs'
import { changeHeadBytes } from '../../../dist/tiers/index-batch.js'
import { LogIndex } from '../../../dist/tiers/log-index.js'
import type { BenchOptions } from '../main.js'
import { removeDir, temporaryDir } from '../support/child.js'
import type { Row } from '../support/compare.js'
import { numbersOf, writtenBytes } from '../support/io.js'
import { random, SEED } from '../support/keys.js'

/** Namespace id, and 16 ASCII bytes in no order that the index could use. */
const keyBytes = 18
/** Sorted batches of this many make the index that is measured; as large as memory allows, so that it is made quickly. */
const fillKeys = 2_000_000

export async function indexCheckpoint({ isSmall }: BenchOptions): Promise<Row[]> {
  const sizes = numbersOf('RAMCACHE_BENCH_KEYS', isSmall ? [20_000] : [10_000_000, 50_000_000])
  const batches = numbersOf('RAMCACHE_BENCH_BATCHES', isSmall ? [2000, 10_000] : [50_000, 250_000, 1_000_000])
  const rows: Row[] = []
  for (const size of sizes) rows.push(...(await measure(size, batches)))
  return rows
}

async function measure(size: number, batches: readonly number[]): Promise<Row[]> {
  const dir = temporaryDir()
  const index = await LogIndex.open(dir)
  const file = `${dir}/index.mdb`
  const next = random()
  const rows: Row[] = []
  let clock = 1
  let last = 0
  const commit = async (ids: readonly number[]) => {
    const packed = packIds(ids, clock)
    const before = performance.now()
    last = before
    await index.commit(packed, { file: clock, offset: 0 })
    clock++
    return performance.now() - before
  }
  let filledMs = 0
  for (let from = 0; from < size; from += fillKeys) {
    const ids = Array.from({ length: Math.min(fillKeys, size - from) }, (_, n) => from + n)
    filledMs += await commit(ids)
  }
  console.log(
    `seed ${SEED}: ${size} keys filled at ${((size / filledMs) * 1000).toFixed(0)} keys/s, ${(statSync(file).size / size).toFixed(1)} bytes of file each`,
  )
  for (const batch of batches) {
    // The same number of keys for each size of batch, three batches at least.
    const count = Math.max(3, Math.ceil(Math.max(...batches) / batch))
    const writtenBefore = writtenBytes()
    let ms = 0
    let longest = 0
    const timer = setInterval(() => {
      longest = Math.max(longest, performance.now() - last)
      last = performance.now()
    }, 0)
    for (let round = 0; round < count; round++) {
      const ids = Array.from({ length: batch }, () => next() % size)
      ms += await commit(ids)
      // What follows up to the next commit is not the index's.
      last = Number.POSITIVE_INFINITY
    }
    clearInterval(timer)
    const keys = count * batch
    const written = (writtenBytes() - writtenBefore) / keys
    const perKey = statSync(file).size / size
    console.log(
      `${size} keys, batches of ${String(batch).padEnd(8)} ${((keys / ms) * 1000).toFixed(0).padStart(8)} keys/s, ${written.toFixed(0).padStart(6)} bytes written per key, ${perKey.toFixed(1)} bytes of file per key, thread blocked ${longest.toFixed(0)} ms at most`,
    )
    const { entries } = index.count()
    if (entries !== size) throw new Error(`${entries} rows instead of ${size}`)
    rows.push({
      what: `checkpoint into ${size} keys`,
      name: `batches of ${batch}`,
      nsPerOperation: (ms * 1e6) / keys,
      checksum: Math.round(written),
      ratio: 1,
    })
  }
  await index.close()
  removeDir(dir)
  return rows
}

/** Packed here and not by `packChanges`: a million objects would be what is measured. */
function packIds(ids: readonly number[], clock: number): Buffer {
  // Spread over the whole key space, the same key for the same id.
  const keys = ids.map((id) => (Math.imul(id, 0x9e37_79b1) >>> 0) * 0x1000 + (id % 0x1000))
  const sorted = Float64Array.from(keys).sort()
  const entryBytes = changeHeadBytes + keyBytes
  const packed = Buffer.alloc(sorted.length * entryBytes)
  let at = 0
  for (const key of sorted) {
    packed.writeUInt16LE(keyBytes, at)
    packed[at + 2] = 1
    packed.writeUInt32LE(clock, at + 4)
    packed.writeUInt32LE(at, at + 8)
    packed.writeUInt32LE(1024, at + 12)
    packed.writeUInt32LE(clock, at + 16)
    packed.writeUInt16BE(1, at + changeHeadBytes)
    packed.write(String(key).padStart(16, '0'), at + changeHeadBytes + 2, 'latin1')
    at += entryBytes
  }
  return packed
}
