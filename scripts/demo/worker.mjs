/** One of the processes that share the store: writes its entries, then reads those of all. */
import { connect } from '../../dist/index.js'

const [socket, number, workers, entriesEach] = process.argv.slice(2)
const reads = 200_000
const cache = await connect(socket)
const key = (owner, index) => `user:${owner}:${index}`

for (let index = 0; index < Number(entriesEach); index++) {
  await cache.set(key(number, index), `row ${index} of ${number}, ${'x'.repeat(80)}`)
}
process.send('written')

process.on('message', async (message) => {
  if (message === 'count') {
    await Promise.all(Array.from({ length: 1000 }, () => cache.incr('counter', 1, { init: 0 })))
    process.send('counted')
    return
  }
  const samples = []
  const startedAt = process.hrtime.bigint()
  for (let read = 0; read < reads; read++) {
    const wanted = key((read * 7) % Number(workers), (read * 7919) % Number(entriesEach))
    const before = read % 16 === 0 ? process.hrtime.bigint() : 0n
    if (cache.getSync(wanted) === undefined) throw new Error(`${wanted} was not found`)
    if (read % 16 === 0) samples.push(Number(process.hrtime.bigint() - before))
  }
  const seconds = Number(process.hrtime.bigint() - startedAt) / 1e9
  samples.sort((left, right) => left - right)
  process.send({
    pid: process.pid,
    reads,
    perSecond: Math.round(reads / seconds),
    p50Ns: samples[samples.length >> 1],
    p99Ns: samples[Math.floor(samples.length * 0.99)],
  })
})
