/**
 * A disk that takes only the beginning of each file: `broken-disk.mjs DIR`. The limit on file sizes makes writes fail in
 * the middle, with EFBIG. Says `healed` at the end.
 */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { open } from '../../../dist/index.js'

const dir = process.argv[2]
const limit = (bytes) => execFileSync('prlimit', [`--pid=${process.pid}`, `--fsize=${bytes}:`])
const textOf = (n) => `${n}/`.padEnd(1000)
const options = { dir, memory: '8mb', __internal: { fileBytes: 4 << 20 } }

let cache = await open(options)
await cache.set('first', 1, { durability: 'sync' })
limit(1_500_000)
let written = 0
await assert.rejects(
  async () => {
    for (; ; written++) await cache.set(`k${written}`, textOf(written), { durability: 'sync' })
  },
  {
    code: 'ERR_RAMCACHE_POISONED',
    message: /writing .*00000001\.log failed: File too large .*open it again/,
  },
)
assert.ok(written > 500, `${written} were written`)
for (let n = 0; n < written; n++) assert.equal(await cache.get(`k${n}`), textOf(n))
assert.equal((await cache.stats()).durability.poisoned, true)
await assert.rejects(cache.close(), { code: 'ERR_RAMCACHE_POISONED' })

limit('unlimited')
cache = await open(options)
for (let n = 0; n < written; n++) assert.equal(await cache.get(`k${n}`), textOf(n))
await cache.set('last', 1, { durability: 'sync' })
await cache.close()
console.log('healed')
