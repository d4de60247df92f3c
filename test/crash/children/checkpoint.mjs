/** `checkpoint.mjs DIR`: an owner that writes new keys without end, and says up to which they are on disk. */
import { open } from '../../../dist/index.js'

const [dir] = process.argv.slice(2)
const batch = 2000
const cache = await open({ dir, memory: '16mb' })
for (let from = 0; ; from += batch) {
  await Promise.all(Array.from({ length: batch }, (_, n) => cache.set(`key:${from + n}`, from + n)))
  await cache.flush()
  process.stdout.write(`${from + batch}\n`)
}
