/** Saves numbered batches of `count` entries into the tier in `argv[2]` until it is killed. Prints n when it is saved. */
import { HddTier } from '../../../dist/tiers/hdd.js'

const [, , dir, count, first] = process.argv
const tier = new HddTier(dir, { writeBufferBytes: 256 * 1024 })
await tier.open()
for (let batch = Number(first); ; batch++) {
  const entries = Array.from({ length: Number(count) }, (_, n) => ({
    key: Buffer.from(`\0\u0001key ${n}`),
    record: Buffer.from(`${batch} ${'x'.repeat(100)}`),
    version: BigInt(batch),
    expiresAt: 0,
  }))
  await tier.save(entries)
  process.stdout.write(`${batch}\n`)
}
