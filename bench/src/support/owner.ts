/**
 * A process that owns a store and an LMDB environment with the same entries: `owner.js DIR ENTRIES KIND`.
 * Sends `ready`, answers `memory` with its own, `write N` writes that many entries a second until told otherwise.
 */
import { open as openLmdb } from 'lmdb'
import { open } from '../../../dist/index.js'
import { keyOf, object1k, value100 } from './keys.js'

const [dir = '', count = '0', kind = 'strings', memory = '1gb'] = process.argv.slice(2)
const entries = Number(count)
const makeValue = kind === 'objects' ? object1k : value100
const cache = await open({ dir: `${dir}/ramcache`, tiers: { ssd: false }, memory })
// noSync: what is compared is reading; nothing here has to survive.
const encoding =
  kind === 'objects' ? { sharedStructuresKey: Symbol.for('structures') } : { encoding: 'string' as const }
const lmdb = openLmdb({ path: `${dir}/lmdb`, noSync: true, ...encoding })
const plain = kind === 'objects' ? openLmdb({ path: `${dir}/lmdb-plain`, noSync: true }) : undefined

let last: Promise<unknown> = Promise.resolve()
for (let index = 0; index < entries; index++) {
  const value = makeValue(index)
  await cache.set(keyOf(index), value)
  last = lmdb.put(keyOf(index), value)
  if (plain !== undefined) last = Promise.all([last, plain.put(keyOf(index), value)])
  if (index % 10_000 === 0) await last
}
await last

/** Puts spread over the second, in the small steps that a timer allows. */
let timer: NodeJS.Timeout | undefined
function writeAt(perSecond: number): void {
  clearInterval(timer)
  if (perSecond === 0) return
  const startedAt = performance.now()
  let written = 0
  timer = setInterval(() => {
    const due = ((performance.now() - startedAt) / 1000) * perSecond
    for (; written < due; written++) void cache.set(keyOf(written % entries), makeValue(written % entries))
  }, 1)
}

process.on('message', async (message: { write?: number }) => {
  if (message.write !== undefined) writeAt(message.write)
  process.send?.({ stats: await cache.stats() })
})
process.on('disconnect', async () => {
  clearInterval(timer)
  await cache.close()
  await lmdb.close()
  await plain?.close()
  process.exit(0)
})
process.send?.('ready')
