/** A thread that opens a store with tiers before any other, and fills it beyond its memory. */
import { parentPort, workerData } from 'node:worker_threads'
import { open } from '../../../dist/index.js'

const { dir, keys } = workerData
const cache = await open({ dir, memory: '1mb' })
for (let number = 0; number < keys; number++) await cache.set(`cold ${number}`, 'x'.repeat(2000))
await cache.flush()
parentPort.postMessage('filled')
// It stays until it is ended.
parentPort.on('message', () => {})
