/**
 * Commits numbered batches into the index in `argv[2]` until it is killed. Batch n sets `count` keys with clock n and the
 * place n, and reaches position n. Prints n when it is committed.
 */
import { packChanges } from '../../../dist/tiers/index-batch.js'
import { LogIndex } from '../../../dist/tiers/log-index.js'

const [, , dir, count] = process.argv
const index = await LogIndex.open(dir)
for (let batch = index.position().file + 1; ; batch++) {
  const changes = Array.from({ length: Number(count) }, (_, n) => ({
    key: Buffer.from(`\0\u0001key ${n}`),
    kind: 'set',
    file: batch,
    offset: n,
    bytes: 1,
    clock: BigInt(batch),
  }))
  await index.commit(packChanges(changes), { file: batch, offset: 0 })
  process.stdout.write(`${batch}\n`)
}
