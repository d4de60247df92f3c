/** `next-process.mjs SOCKET`: a cache handler of Next in a process of its own; `[method, ...arguments]` is answered with its result. */
import cacheHandler from '../../../dist/adapters/next.js'
import { connect } from '../../../dist/index.js'

const Handler = cacheHandler(await connect(process.argv[2]))
const handler = new Handler({ revalidatedTags: [] })
process.on('message', async ([method, ...args]) => process.send({ value: await handler[method](...args) }))
process.send({ value: 'ready' })
