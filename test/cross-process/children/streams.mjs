/**
 * What a process of its own is needed for, by `process.argv[2]`:
 *   flat DIR         256 MiB into a store and four times out of it; says how far its own memory has grown meanwhile
 *   half DIR [tiers] publishes one blob and half writes another, then waits to be killed
 *   larger DIR MEGABYTES  that much through 16 MiB of memory and out again, before and after a restart
 *   many DIR         writes blobs over each other, saying so after each, until it is killed
 * As a worker thread: half writes a blob and says so.
 */
import { readFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { blobsOf } from '../../../dist/cache/internal.js'
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

/** Piece `number` of a content: different for each number and content. */
function pieceOf(number, content) {
  const piece = Buffer.from(pieces[(number + content) % pieces.length])
  piece.writeUInt32LE(number, 0)
  piece.writeUInt32LE(content, 4)
  return piece
}

function* contentOf(count, content, onPiece = () => {}) {
  for (let number = 0; number < count; number++) {
    onPiece()
    yield pieceOf(number, content)
  }
}

/** Throws at the first byte that is not the content's. Returns how many there were. */
async function verify(stream, content, start, onPiece = () => {}) {
  let at = start
  for await (const part of stream) {
    onPiece()
    for (let from = 0; from < part.length; from += pieceBytes) {
      const number = (at + from) / pieceBytes
      const isRight = part.subarray(from, from + pieceBytes).equals(pieceOf(number, content))
      if (!isRight) throw new Error(`wrong bytes at ${at + from} of content ${content}`)
    }
    at += part.length
  }
  return at - start
}

async function larger(dir, megabytes) {
  const options = { dir, memory: '16mb' }
  const total = megabytes * 1024 * 1024
  const count = total / pieceBytes
  const found = { total, chunksOfRange: [], read: [], grownBytes: 0 }
  let cache = await open(options)
  const before = ownBytes()
  const watch = () => {
    found.grownBytes = Math.max(found.grownBytes, ownBytes() - before)
  }
  const range = async (content) => {
    const blobs = blobsOf(cache)
    const whole = blobs.chunk
    const asked = new Set()
    blobs.chunk = function (id, number) {
      asked.add(number)
      return whole.call(this, id, number)
    }
    const start = Math.floor(megabytes / 2) * 1024 * 1024
    const stream = await cache.createReadStream('k', { start, end: start + 1024 * 1024 - 1 })
    if ((await verify(stream, content, start)) !== 1024 * 1024) throw new Error('a short range')
    delete blobs.chunk
    found.chunksOfRange.push(asked.size)
  }
  await pipeline(Readable.from(contentOf(count, 1, watch)), cache.createWriteStream('k'))
  await range(1)
  const streams = [await cache.createReadStream('k'), await cache.createReadStream('k')]
  const reads = streams.map((stream) => verify(stream, 1, 0, watch))
  // Overwritten while it is read.
  await pipeline(Readable.from(contentOf(count, 2, watch)), cache.createWriteStream('k'))
  found.read.push(...(await Promise.all(reads)))
  await range(2)
  await cache.close()
  cache = await open(options)
  await range(2)
  const again = await Promise.all([cache.createReadStream('k'), cache.createReadStream('k')])
  found.read.push(...(await Promise.all(again.map((stream) => verify(stream, 2, 0, watch)))))
  await cache.close()
  return found
}

async function many(cache) {
  for (let content = 0; ; content++) {
    const key = `k${content % 3}`
    const count = 1 + ((content * 7) % 90)
    await pipeline(Readable.from(contentOf(count, content)), cache.createWriteStream(key))
    process.send(content)
  }
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
  const [what, dir, option] = process.argv.slice(2)
  if (what === 'flat') {
    process.send(await flat(dir))
  } else if (what === 'larger') {
    process.send(await larger(dir, Number(option)))
  } else if (what === 'many') {
    await many(await open({ dir, memory: '16mb' }))
  } else {
    const tiers = option === 'tiers' ? {} : { ssd: false }
    const cache = await open({ dir, tiers, memory: '16mb' })
    await pipeline(Readable.from(pieces.slice(0, 100)), cache.createWriteStream('whole'))
    const stream = await half(cache, 'half')
    await cache.flush()
    process.send('ready')
    process.on('message', () => stream.end())
  }
}
