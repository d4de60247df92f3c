/**
 * What a process of its own is needed for, by `process.argv[2]`:
 *   flat DIR         256 MiB into a store and four times out of it; says how far its own memory has grown meanwhile
 *   half DIR         publishes one blob and half writes another, then waits to be killed
 * As a worker thread: half writes a blob and says so.
 */
import { readFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { open } from '../../../dist/index.js'

const pieceBytes = 16 * 1024
const pieces = Array.from({ length: 251 }, (_, index) => Buffer.alloc(pieceBytes, index))

/** Memory of this process alone: neither the store, which is shared, nor files. */
function ownBytes() {
  return Number(/^RssAnon:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024
}

async function flat(dir) {
  const cache = await open({ dir, tiers: { ssd: false }, memory: '320mb' })
  const count = (256 * 1024 * 1024) / pieceBytes
  const before = ownBytes()
  let peak = before
  function* source() {
    for (let number = 0; number < count; number++) {
      if (number % 256 === 0) peak = Math.max(peak, ownBytes())
      yield pieces[number % pieces.length]
    }
  }
  await pipeline(Readable.from(source()), cache.createWriteStream('k'))
  const start = 200 * 1024 * 1024
  const range = await buffer(await cache.createReadStream('k', { start, end: start + 1024 * 1024 - 1 }))
  for (let at = 0; at < range.length; at += pieceBytes) {
    const expected = pieces[((start + at) / pieceBytes) % pieces.length]
    if (!range.subarray(at, at + pieceBytes).equals(expected)) throw new Error(`wrong bytes at ${start + at}`)
  }
  let total = 0
  for (let round = 0; round < 4; round++) {
    for await (const piece of await cache.createReadStream('k')) {
      total += piece.length
      peak = Math.max(peak, ownBytes())
    }
  }
  await cache.close()
  return { total, grownBytes: peak - before }
}

/** The stream must be kept: one that is forgotten gives its lease up. */
async function half(cache, key) {
  const stream = cache.createWriteStream(key)
  await new Promise((resolve) => stream.write(Buffer.alloc(1_000_000), resolve))
  return stream
}

if (parentPort !== null) {
  const cache = await open({
    dir: workerData.dir,
    tiers: { ssd: false },
    memory: '16mb',
    __internal: { clock: 'manual' },
  })
  const stream = await half(cache, 'k')
  parentPort.postMessage('written')
  parentPort.on('message', () => stream.end())
} else {
  const [what, dir] = process.argv.slice(2)
  if (what === 'flat') {
    process.send(await flat(dir))
  } else {
    const cache = await open({ dir, tiers: { ssd: false }, memory: '16mb' })
    await pipeline(Readable.from(pieces.slice(0, 100)), cache.createWriteStream('whole'))
    const stream = await half(cache, 'half')
    process.send('ready')
    process.on('message', () => stream.end())
  }
}
