/**
 * Owns a store of values without durability, more than RAM holds, over older ones that are durable: `volatile.mjs DIR
 * HOW`. `write` writes them, says `written` and stays until it is killed; `kept` verifies that all are there, says so and
 * stays; `lost` verifies that none is, and that nothing older has come back.
 */
import { open } from '../../../dist/index.js'

const [dir, how] = process.argv.slice(2)
const count = 3000
const textOf = (n, version) => `${n}/${version}/`.padEnd(900)

const cache = await open({ dir, memory: '1mb', namespaces: { volatile: { durability: 'none' } } })
const volatile = cache.namespace('volatile')

if (how === 'write') {
  for (let n = 0; n < count; n += 2) void volatile.set(`k${n}`, textOf(n, 1), { durability: 'async' })
  await cache.flush()
  await Promise.all(Array.from({ length: count }, (_, n) => volatile.set(`k${n}`, textOf(n, 2))))
  process.stdout.write('written')
} else {
  for (let n = 0; n < count; n++) {
    const expected = how === 'kept' ? textOf(n, 2) : undefined
    const found = await volatile.get(`k${n}`)
    if (found !== expected) throw new Error(`k${n} is ${found}`)
  }
  const scanned = []
  for await (const { key } of volatile.scan()) scanned.push(key)
  const expected = how === 'kept' ? count : 0
  if (scanned.length !== expected) throw new Error(`a scan finds ${scanned.length} entries`)
  process.stdout.write('verified')
}
if (how === 'lost') await cache.close()
else setInterval(() => {}, 1000)
