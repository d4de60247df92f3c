/**
 * Calls functions of WinCache for tests of several processes: `[id, name, ...arguments]` is answered with `{ id, value }` or
 * `{ id, message }`. Runs the built package.
 */

import { connect, open } from '../../../dist/index.js'
import * as wincache from '../../../dist/wincache.js'

const times = (count, work) => {
  for (let done = 0; done < count; done++) work(done)
}

const actions = {
  ...wincache,
  end() {
    setImmediate(() => process.exit())
  },
  /** As PHP does: an entry that lasts while it is read. */
  async keepSession({ socket, ...options }, id, text, idle) {
    const cache = socket === undefined ? await open(options) : await connect(socket)
    await cache.namespace('wincache-sessions').set(id, text, { idle })
    await cache.close()
  },
  /** Integers that a number does not hold are given as text. */
  incMany: (key, count, by = 1) => times(count, () => wincache.wincache_ucache_inc(key, by)),
  casMany: (key, count) =>
    times(count, () => {
      let value
      do value = wincache.wincache_ucache_get(key)
      while (!wincache.wincache_ucache_cas(key, value, value + 1))
    }),
  /** How many it was the first to add. */
  addMany(prefix, count) {
    let added = 0
    times(count, (number) => {
      if (wincache.wincache_ucache_add(prefix + number, process.pid)) added++
    })
    return added
  },
  /** Reads, and writes one more: only a lock makes that right. */
  lockMany: (lock, isGlobal, key, count) =>
    times(count, () => {
      if (!wincache.wincache_lock(lock, isGlobal)) throw new Error('no lock')
      wincache.wincache_ucache_set(key, wincache.wincache_ucache_get(key) + 1)
      if (!wincache.wincache_unlock(lock)) throw new Error('the lock was lost')
    }),
}

process.on('warning', () => {})
process.on('message', async ([id, name, ...args]) => {
  try {
    process.send({ id, value: await actions[name](...args) })
  } catch (error) {
    process.send({ id, message: error.message })
  }
})
process.send({ id: -1 })
