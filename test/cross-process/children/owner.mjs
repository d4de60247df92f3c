/** Owns a store: `owner.mjs DIR MEMORY`, in RAM only, or `owner.mjs OPTIONS` as JSON. Says `ready`, then does what it is sent and answers. */
import { open } from '../../../dist/index.js'

const [dir, memory = '8mb', shmDir] = process.argv.slice(2)
const internal = shmDir === undefined ? {} : { __internal: { shmDir } }
try {
  const inRam = { dir, tiers: { ssd: false }, memory, ...internal }
  const cache = await open(dir.startsWith('{') ? JSON.parse(dir) : inRam)
  process.on('message', async ([method, ...args]) => {
    try {
      process.send({ value: await cache[method](...args) })
    } catch (error) {
      process.send({ code: error.code, message: error.message })
    }
  })
  process.send({ value: 'ready' })
} catch (error) {
  process.send({ code: error.code, message: error.message })
}
