/**
 * `memory.mjs DIR MEMORY MB`, with --expose-gc --max-semi-space-size=1: a store with so many MB of data; says how much memory the
 * process takes beyond an empty store.
 */
import { readFileSync } from 'node:fs'
import { open } from '../../../dist/index.js'

const [dir, memory, megabytes] = process.argv.slice(2)
const valueBytes = 1000
const count = (Number(megabytes) * 1024 * 1024) / valueBytes
const kilobytes = (name) =>
  Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))[1])
const look = () => {
  // This program's own garbage is not the store's.
  gc()
  return { anonymous: kilobytes('RssAnon') * 1024, shared: kilobytes('RssShmem') * 1024 }
}
/** Memory of the arena that holds no entry. */
const sharedEmpty = () => kilobytes('RssShmem') * 1024
const textOf = (number) => `${number};`.padEnd(valueBytes, '.')

const cache = await open({ dir, memory })
const shared = sharedEmpty()
// An empty store whose threads and code have run: what it writes is overwritten, what it reads is not there.
for (let round = 0; round < 20; round++) {
  for (let number = 0; number < 1000; number++) await cache.set(`warm${number % 50}`, textOf(number))
  await Promise.all(Array.from({ length: 200 }, (_, number) => cache.getEntry(`absent${number}`)))
  for await (const _ of cache.scan()) look()
}
await cache.flush()
const empty = { ...look(), shared }

const peak = { anonymous: 0, shared: 0, all: 0 }
const record = () => {
  const { anonymous, shared } = look()
  peak.anonymous = Math.max(peak.anonymous, anonymous - empty.anonymous)
  peak.shared = Math.max(peak.shared, shared)
  peak.all = Math.max(peak.all, anonymous + shared - empty.anonymous - empty.shared)
}
let refused = 0
for (let number = 0; number < count; number++) {
  await cache.set(`key:${number}`, textOf(number)).catch(() => refused++)
  if (number % 2000 === 0) {
    record()
    await new Promise(setImmediate)
  }
}
const written = { ...peak }
let wrong = 0
// An eighth of all, spread over the whole: what a read leaves behind shows long before that.
for (let at = 0; at < count; at += 1600) {
  const numbers = Array.from({ length: Math.min(200, count - at) }, (_, index) => at + index)
  const values = await Promise.all(numbers.map((number) => cache.get(`key:${number}`)))
  values.forEach((value, index) => {
    if (value !== textOf(numbers[index])) wrong++
  })
  if (at % 8000 === 0) record()
}
process.stdout.write(`${JSON.stringify({ empty, written, peak, end: look(), refused, wrong })}\n`)
await cache.close()
process.exit(0)
