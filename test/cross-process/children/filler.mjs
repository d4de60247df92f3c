/**
 * A process that asks for one key, many times at once: `filler.mjs open|connect PLACE OPTIONS`. `['ask', key, calls]` is
 * answered with `{ done: values }`; `{ called: true }` says that its factory runs, which returns what `['make', value]` says.
 */
import { connect, open } from '../../../dist/index.js'

const [how, place, options] = process.argv.slice(2)
const cache = how === 'open' ? await open({ ...JSON.parse(options), dir: place }) : await connect(place)

let make
process.on('message', async ([what, ...args]) => {
  if (what === 'make') return make(args[0])
  if (what === 'end') {
    await cache.close()
    process.disconnect()
    return
  }
  const [key, calls, ask] = args
  const factory = () => {
    process.send({ called: true })
    return new Promise((resolve) => {
      make = resolve
    })
  }
  const values = await Promise.all(Array.from({ length: calls }, () => cache.getOrSet(key, factory, ask)))
  process.send({ done: [...new Set(values)], count: values.length })
})
process.send({ ready: true })
