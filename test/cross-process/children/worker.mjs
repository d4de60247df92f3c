/** A worker thread: opens the store its process has open, writes its share, reads what the others wrote. */
import { parentPort, workerData } from 'node:worker_threads'
import { open } from '../../../dist/index.js'

const { dir, number, count } = workerData
const cache = await open({ dir, tiers: { ssd: false }, memory: '16mb' })
for (let index = 0; index < count; index++) {
  await cache.set(`w${number}:${index}`, { number, index, [`shape${number}`]: [index] })
  await cache.incr('total', 1, { init: 0 })
}
parentPort.postMessage('written')
await new Promise((resolve) => parentPort.once('message', resolve))
let seen = 0
for (let other = 0; other < workerData.workers; other++) {
  for (let index = 0; index < count; index++) {
    const value = cache.getSync(`w${other}:${index}`)
    if (value?.number === other && value.index === index && value[`shape${other}`][0] === index) seen++
  }
}
parentPort.postMessage(seen)
// Whoever owns the store by now takes it along.
await new Promise((resolve) => parentPort.once('message', resolve))
await cache.close()
