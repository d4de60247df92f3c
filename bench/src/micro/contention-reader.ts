/** The other reader of `contention`: reads without pause while told to. */
import { setImmediate } from 'node:timers/promises'
import { attach } from '../../../dist/index.js'
import { freshKeys, random } from '../support/keys.js'

const [dir = '', count = '0'] = process.argv.slice(2)
const cache = await attach({ dir: `${dir}/ramcache` })
const next = random(7)
let isReading = false
let isConnected = true
process.on('message', (message: { read: boolean }) => {
  isReading = message.read
  process.send?.({ isReading })
})
process.on('disconnect', () => {
  isConnected = false
})
process.send?.('ready')
while (isConnected) {
  if (isReading) for (const key of freshKeys(5000, Number(count), next)) cache.getSync(key)
  else await new Promise((resolve) => setTimeout(resolve, 5))
  await setImmediate()
}
await cache.close()
