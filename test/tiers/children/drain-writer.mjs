/**
 * Overwrites and deletes in a store whose log is drained all the while: `drain-writer.mjs DIR SEED FIRST`. Prints the
 * number of each batch that is on disk, and what was copied by then.
 */
import { open } from '../../../dist/index.js'
import { binding } from '../../../dist/native/binding.js'
import { applyBatch, openOptions } from './drain-batches.mjs'

const [dir, seed, first] = process.argv.slice(2)
const cache = await open(openOptions(dir))
const handle = binding().joinStore(dir)
for (let batch = Number(first); ; batch++) {
  await applyBatch(cache, Number(seed), batch)
  await cache.flush()
  process.stdout.write(`${batch} ${binding().logState(handle).bytesCopied}\n`)
}
