/** Owns a store with an SSD tier, writes to it without end, and says how far it has got: `writer.mjs DIR`. */
import { open } from '../../../dist/index.js'

const cache = await open({ dir: process.argv[2], memory: '3mb' })
for (let n = 0; ; n++) {
  await cache.set(`key ${n}`, { n })
  if (n % 100 === 0) {
    process.stdout.write(`${n}\n`)
    await new Promise((resolve) => setImmediate(resolve))
  }
}
