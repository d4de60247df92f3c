/**
 * One of many that lock the same key: `locker.mjs DIR ROUNDS OPTIONS`. In each round it adds one to a number, in two steps that
 * only the lock keeps together. Says it is ready, waits to be told, and sends the tokens it had, in order.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { open } from '../../../dist/index.js'

const [dir, rounds, options] = process.argv.slice(2)
const cache = await open({ ...JSON.parse(options), dir })
process.once('message', async () => {
  const tokens = []
  let waiting = cache.lock('turn', { wait: '10m' })
  for (let left = Number(rounds); left > 0; left--) {
    const lease = await waiting
    tokens.push(lease.token)
    const number = (await cache.get('number')) ?? 0
    await nextTurn()
    await cache.set('number', number + 1)
    const released = lease.release()
    // Back in line at once.
    if (left > 1) waiting = cache.lock('turn', { wait: '10m' })
    if (!(await released)) throw new Error(`the lease ${lease.token} was lost`)
  }
  process.send({ tokens })
})
process.once('disconnect', () => process.exit())
process.send({ ready: true })
