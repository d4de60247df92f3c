/**
 * Reads of 100 B strings from a process that does not own the store, beside LMDB in a second process and an LRU map in
 * this one: 1,000 hot keys of a million, and uniform over all. Keys are fresh strings, as a server gets them.
 */
import { open as openLmdb } from 'lmdb'
import { LRUCache } from 'lru-cache'
import { attach } from '../../../dist/index.js'
import type { BenchOptions } from '../main.js'
import { removeDir, startChild, temporaryDir } from '../support/child.js'
import { type Contender, compare, type Row } from '../support/compare.js'
import { freshKeys, keyOf, random, SEED, value100 } from '../support/keys.js'

const BATCH = 20_000

export async function reads({ isSmall }: BenchOptions): Promise<Row[]> {
  const entries = isSmall ? 10_000 : 1_000_000
  const dir = temporaryDir()
  const owner = await startChild('support/owner.js', [dir, String(entries), 'strings'])
  const cache = await attach({ dir: `${dir}/ramcache` })
  const lmdb = openLmdb({ path: `${dir}/lmdb`, readOnly: true, encoding: 'string' })
  const lru = new LRUCache<string, string>({ max: entries })
  for (let index = 0; index < entries; index++) lru.set(keyOf(index), value100(index))
  console.log(`${entries} entries, 16 B keys, 100 B strings, fresh keys, seed ${SEED}`)
  const rows: Row[] = []
  const hot = Math.min(1000, entries)
  for (const [label, range] of [
    ['hot 1 k', hot],
    ['uniform', entries],
  ] as const) {
    const contender = (name: string, get: (key: string) => string | undefined): Contender => {
      const next = random(SEED + range)
      let keys: string[] = []
      return {
        name,
        operations: BATCH,
        prepare: () => {
          keys = freshKeys(BATCH, range, next)
        },
        batch: () => total(keys, get),
      }
    }
    const contenders = [
      contender('ramcache getSync, attached', (key) => cache.getSync<string>(key)),
      contender('lmdb-js, second process', (key) => lmdb.get(key)),
      contender('lru-cache, this process', (key) => lru.get(key)),
    ]
    const options = { rounds: isSmall ? 1 : 9, msPerRound: isSmall ? 10 : 200 }
    rows.push(...(await compare(label, contenders, options)))
  }
  await cache.close()
  await lmdb.close()
  await owner.stop()
  removeDir(dir)
  return rows
}

function total(keys: string[], get: (key: string) => string | undefined): number {
  let sum = 0
  for (const key of keys) {
    const value = get(key)
    if (value === undefined) throw new Error(`${key} was not found`)
    sum += value.length
  }
  return sum
}
