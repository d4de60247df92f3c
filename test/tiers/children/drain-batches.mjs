/** What the writer of the drain's crash test does in a batch, for the writer and for who checks it. */
import { Prng } from '../../../dist/base/prng.js'

export const keyCount = 6000
const operations = 500

/** With an HDD tier the SSD tier has room for a third of what lives. */
export const openOptions = (dir, hasHdd = false) => ({
  dir,
  memory: '1mb',
  ...(hasHdd ? { tiers: { hdd: { path: `${dir}/hdd` } } } : {}),
  __internal: { fileBytes: 512 * 1024, ...(hasHdd ? { ssdBudgetBytes: 2 * 1024 * 1024 } : {}) },
})

/** Key and value of each operation; `undefined` deletes. */
export function batchOf(seed, batch) {
  const random = new Prng(seed * 1000 + batch)
  return Array.from({ length: operations }, () => {
    // A quarter of the keys gets most of the writes, so that some files stay as they are for long.
    const key = random.below(random.below(4) === 0 ? keyCount : keyCount / 4)
    const kind = random.below(10)
    const length = kind === 9 ? 20_000 : 200 + random.below(1500)
    const value = kind < 2 ? undefined : `${key}/${batch}/`.padEnd(length, 'v')
    return [`key ${key}`, value]
  })
}

export async function applyBatch(cache, seed, batch) {
  for (const [key, value] of batchOf(seed, batch)) {
    if (value === undefined) await cache.delete(key)
    else await cache.set(key, value)
  }
}
