/** `memory.mjs DIR MB`: 32 MB of memory and so many of data; says how much memory the process takes at most and at the end. */
import { readFileSync } from 'node:fs'
import { open } from '../../../dist/index.js'

const [dir, megabytes] = process.argv.slice(2)
const valueBytes = 1000
const count = (Number(megabytes) * 1024 * 1024) / valueBytes
const kilobytes = (name) =>
  Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))[1])
const bytesNow = () => (kilobytes('RssAnon') + kilobytes('RssShmem')) * 1024
const cache = await open({ dir, memory: '32mb' })
// Both begin with the same: threads and code that have run once.
for (let number = 0; number < 2000; number++) await cache.set(`warm${number % 50}`, 'x'.repeat(valueBytes))
await cache.flush()
const empty = { all: bytesNow(), shared: kilobytes('RssShmem') * 1024 }
let peak = 0
const pieces = { anonymous: 0, shared: 0 }
const look = () => {
  peak = Math.max(peak, bytesNow())
  pieces.anonymous = Math.max(pieces.anonymous, kilobytes('RssAnon') * 1024)
  pieces.shared = Math.max(pieces.shared, kilobytes('RssShmem') * 1024)
}
const textOf = (number) => Buffer.alloc(valueBytes, `${number};`)
let refused = 0
for (let number = 0; number < count; number++) {
  await cache.set(`key:${number}`, textOf(number)).catch(() => refused++)
  if (number % 500 === 0) {
    look()
    await new Promise(setImmediate)
  }
}
const afterWrites = bytesNow()
let wrong = 0
for (let at = 0; at < count; at += 200) {
  const keys = Array.from({ length: Math.min(200, count - at) }, (_, index) => at + index)
  const values = await Promise.all(keys.map((number) => cache.get(`key:${number}`)))
  values.forEach((value, index) => {
    if (value === undefined || !value.equals(textOf(keys[index]))) wrong++
  })
  look()
}
const stats = await cache.stats()
process.stdout.write(
  `${JSON.stringify({ empty, peak, pieces, afterWrites, end: bytesNow(), refused, wrong, heap: process.memoryUsage(), ram: stats.tiers.ram })}\n`,
)
await cache.close()
process.exit(0)
