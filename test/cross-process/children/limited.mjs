/**
 * One of many that ask one limiter as fast as they can: `limited.mjs DIR MS OPEN LIMITER`, both options as JSON. Says it is
 * ready, waits to be told, and sends of each admission when it was asked for and when it was answered.
 */
import { open } from '../../../dist/index.js'

const [dir, ms, openOptions, limiterOptions] = process.argv.slice(2)
const cache = await open({ ...JSON.parse(openOptions), dir })
const limiter = cache.limiter('api', JSON.parse(limiterOptions))
process.once('message', async () => {
  const admitted = []
  let denied = 0
  for (const until = Date.now() + Number(ms); Date.now() < until; ) {
    const asked = Date.now()
    const { allowed } = await limiter.consume('everybody')
    if (allowed) admitted.push([asked, Date.now()])
    else denied++
    await new Promise(setImmediate)
  }
  process.send({ admitted, denied })
})
process.once('disconnect', () => process.exit())
process.send({ ready: true })
