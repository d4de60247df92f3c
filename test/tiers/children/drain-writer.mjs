/**
 * Overwrites and deletes in a store whose log is drained all the while: `drain-writer.mjs DIR SEED FIRST [hdd]`. Prints the
 * number of each batch that is on disk, and how many bytes were copied, or entries demoted, by then.
 */
import { open } from '../../../dist/index.js'
import { binding } from '../../../dist/native/binding.js'
import { applyBatch, openOptions } from './drain-batches.mjs'

const [dir, seed, first, hdd] = process.argv.slice(2)
const cache = await open(openOptions(dir, hdd === 'hdd'))
const handle = binding().joinStore(dir)
for (let batch = Number(first); ; batch++) {
  await applyBatch(cache, Number(seed), batch)
  await cache.flush()
  const moved =
    hdd === 'hdd' ? (await cache.stats()).tiers.hdd.demotedIn : binding().logState(handle).bytesCopied
  process.stdout.write(`${batch} ${moved}\n`)
}
