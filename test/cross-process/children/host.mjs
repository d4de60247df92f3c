/**
 * Has stores open for tests of other processes, as owner or not, as many as it is told to: `[id, what, dir, ...arguments]`
 * is answered with `{ id, value }` or `{ id, code, message }`.
 */
import { advanceClock, checkStore, engineOf, tcpAddressOf } from '../../../dist/cache/internal.js'
import { connect, open } from '../../../dist/index.js'

const caches = new Map()

/** Fills RAM with something else until nothing of the default namespace is left in it. */
function chill(cache) {
  const space = engineOf(cache).space('default')
  const filler = engineOf(cache).space('filler')
  const value = Buffer.alloc(2000)
  for (let number = 0; hasEntries(space); number++) filler.set(`filler ${number % 5000}`, value)
}

function hasEntries(space) {
  let page = space.scan(undefined, '')
  while (page.entries.length === 0 && page.cursor !== undefined) page = space.scan(page.cursor, '')
  return page.entries.length > 0
}

const actions = {
  async open(dir, options) {
    const { tcp } = options.__internal ?? {}
    // What comes as text is bytes.
    if (tcp !== undefined) tcp.password = Buffer.from(tcp.password)
    caches.set(dir, await open({ ...options, dir }))
  },
  async connect(dir, url) {
    caches.set(dir, await connect(url))
  },
  call: (dir, method, ...args) => caches.get(dir)[method](...args),
  address: (dir) => tcpAddressOf(caches.get(dir)),
  check: (dir) => checkStore(caches.get(dir)),
  advance: (dir, ms) => advanceClock(caches.get(dir), ms),
  chill: (dir) => chill(caches.get(dir)),
  async close(dir) {
    const cache = caches.get(dir)
    caches.delete(dir)
    await cache?.close()
  },
}

process.on('message', async ([id, what, ...args]) => {
  try {
    process.send({ id, value: await actions[what](...args) })
  } catch (error) {
    process.send({ id, code: error.code, message: error.message })
  }
})
