/**
 * The SSD tier beside lmdb-js, classic-level, memcached extstore and fio: values of 1 KiB put in random key order and synced
 * each second, cold gets one at a time and sixteen at a time with the page cache dropped, in the owner and from another
 * process, stop and start; then a third of the keys once more, for the space. RAMCACHE_BENCH_DISK_MB replaces the size.
 * Each engine runs alone: they would fight for the disk.
 */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as after } from 'node:timers/promises'
import type { BenchOptions } from '../main.js'
import { removeDir, temporaryDir } from '../support/child.js'
import type { Row } from '../support/compare.js'
import { folderBytes, numbersOf, writtenBytes } from '../support/io.js'
import { keyOf, random, SEED } from '../support/keys.js'
import { isInstalled } from '../support/servers.js'
import { connected, type Engine, extstore, fio, level, lmdb, type Open, ramcache } from './disk-engines.js'

const valueBytes = 1024
const batch = 500
/** How long the idle loop is watched, to compare with. */
const idleMs = 1000

export async function disk({ isSmall }: BenchOptions): Promise<Row[]> {
  const [megabytes = 0] = numbersOf('RAMCACHE_BENCH_DISK_MB', [isSmall ? 8 : 1024])
  const count = Math.floor((megabytes * 1e6) / valueBytes)
  const reads = isSmall ? 500 : 20_000
  const memory = Math.max(1 << 20, Math.floor((megabytes * 1e6) / 16))
  console.log(
    `${count} values of ${valueBytes} B, random key order, RAM of ramcache ${memory >> 20} MiB, seed ${SEED}`,
  )
  const rows: Row[] = []
  const engines = [ramcache(memory), lmdb, level]
  if (isInstalled('memcached')) engines.push(extstore(megabytes))
  for (const openEngine of engines) {
    const dir = temporaryDir()
    rows.push(...(await measure(openEngine, dir, count, reads)))
    if (openEngine === engines[0]) rows.push(...(await cold(await connected(memory)(dir), count, reads)))
    removeDir(dir)
  }
  if (isInstalled('fio')) rows.push(...ofDisk(megabytes))
  for (const row of rows) {
    const ours = rows.find(({ what, name }) => what === row.what && name === 'ramcache') as Row
    Object.assign(row, { ratio: row.nsPerOperation / ours.nsPerOperation })
  }
  return rows
}

async function measure(openEngine: Open, dir: string, count: number, reads: number): Promise<Row[]> {
  let engine = await openEngine(dir)
  const { name } = engine
  const row = rowOf(name)
  const put = await putAll(engine, count)
  console.log(
    `${name}: put ${put.megabytesPerSecond.toFixed(0)} MB/s, longest ${batch} puts ${put.longestMs.toFixed(0)} ms, ` +
      `${put.writtenPerByte.toFixed(2)} bytes written per byte`,
  )
  const rows = [
    row('durable put, random keys', 1e9 / ((put.megabytesPerSecond * 1e6) / valueBytes), put.checksum),
    row('longest 500 puts', put.longestMs * 1e6, count),
  ]
  // What memcached writes, another process does.
  if (!engine.isLasting) return [...rows, ...(await cold(engine, count, reads))]
  rows.push(row('bytes written per byte (not ns)', put.writtenPerByte, count))
  const stopAt = performance.now()
  await engine.close()
  const stopMs = performance.now() - stopAt
  dropPageCache()
  const startAt = performance.now()
  engine = await openEngine(dir)
  if ((await engine.get(keyOf(1)))?.length !== valueBytes) throw new Error(`${name} lost a value`)
  const startMs = performance.now() - startAt
  await putAll(engine, Math.floor(count / 3))
  const onDisk = folderBytes(dir) / (count * valueBytes)
  console.log(
    `${name}: stop ${stopMs.toFixed(0)} ms, start to first get ${startMs.toFixed(0)} ms; ` +
      `${onDisk.toFixed(2)} bytes on disk per byte after a third was put again`,
  )
  return [
    ...rows,
    row('stop', stopMs * 1e6, count),
    row('start to first get', startMs * 1e6, count),
    row('bytes on disk per byte (not ns)', onDisk, count),
    ...(await cold(engine, count, reads)),
  ]
}

/** Reads with the page cache dropped; closes the engine. */
async function cold(engine: Engine, count: number, reads: number): Promise<Row[]> {
  const isCold = dropPageCache()
  const single = await readSome(engine, count, reads, 1)
  const many = await readSome(engine, count, reads, 16)
  await engine.close()
  console.log(
    `${engine.name}: ${isCold ? 'cold' : 'NOT cold (page cache kept: not root)'} get p50 ${single.p50.toFixed(0)} µs, ` +
      `p99 ${single.p99.toFixed(0)} µs; 16 in flight ${many.perSecond.toFixed(0)}/s, ` +
      `event loop delay of the caller: ${single.delay}; 16 in flight: ${many.delay}; idle: ${await idleDelay()}`,
  )
  const row = rowOf(engine.name)
  return [
    row('cold get, p50', single.p50 * 1000, single.checksum),
    row('cold get, p99', single.p99 * 1000, single.checksum),
    row('cold gets, 16 in flight', 1e9 / many.perSecond, many.checksum),
  ]
}

function ofDisk(megabytes: number): Row[] {
  const dir = temporaryDir()
  const [single, many] = [fio(dir, megabytes, 1), fio(dir, megabytes, 16)]
  removeDir(dir)
  console.log(
    `fio, 4 KiB: p50 ${single.p50.toFixed(0)} µs, p99 ${single.p99.toFixed(0)} µs; 16 in flight ${many.perSecond.toFixed(0)}/s`,
  )
  const row = rowOf('fio, 4 KiB')
  return [
    row('cold get, p50', single.p50 * 1000, 0),
    row('cold get, p99', single.p99 * 1000, 0),
    row('cold gets, 16 in flight', 1e9 / many.perSecond, 0),
  ]
}

const rowOf =
  (name: string) =>
  (what: string, nsPerOperation: number, checksum: number): Row => ({
    what,
    name,
    nsPerOperation,
    checksum,
    ratio: 1,
  })

/** Every key once, in an order that jumps about; synced once a second and at the end. */
async function putAll(engine: Engine, count: number) {
  const next = random()
  const noise = Buffer.alloc(1 << 20)
  for (let at = 0; at < noise.length; at += 4) noise.writeUInt32LE(next(), at)
  // Coprime to the count, so that every index comes up once.
  let stride = Math.floor(count * 0.618) | 1
  while (gcd(stride, count) !== 1) stride += 2
  const writtenBefore = writtenBytes()
  const startedAt = performance.now()
  let syncedAt = startedAt
  let longestMs = 0
  let checksum = 0
  for (let from = 0; from < count; from += batch) {
    const before = performance.now()
    const puts: Promise<unknown>[] = []
    for (let n = from; n < Math.min(from + batch, count); n++) {
      const index = (n * stride) % count
      const at = next() % (noise.length - valueBytes)
      checksum = (checksum + index) % 1e9
      puts.push(engine.put(keyOf(index), noise.subarray(at, at + valueBytes)))
    }
    await Promise.all(puts)
    if (performance.now() - syncedAt > 1000) {
      await engine.sync()
      syncedAt = performance.now()
    }
    longestMs = Math.max(longestMs, performance.now() - before)
  }
  await engine.sync()
  const seconds = (performance.now() - startedAt) / 1000
  const bytes = count * valueBytes
  return {
    megabytesPerSecond: bytes / 1e6 / seconds,
    longestMs,
    writtenPerByte: (writtenBytes() - writtenBefore) / bytes,
    checksum,
  }
}

async function readSome(engine: Engine, count: number, reads: number, inFlight: number) {
  const next = random(SEED + inFlight)
  const times: number[] = []
  let checksum = 0
  let left = reads
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const startedAt = performance.now()
  const reader = async () => {
    while (left-- > 0) {
      const key = keyOf(next() % count)
      const before = performance.now()
      const value = await engine.get(key)
      times.push((performance.now() - before) * 1000)
      if (value?.length !== valueBytes) throw new Error(`${engine.name} lost ${key}`)
      checksum += value[0] as number
    }
  }
  await Promise.all(Array.from({ length: inFlight }, reader))
  const seconds = (performance.now() - startedAt) / 1000
  delay.disable()
  times.sort((left, right) => left - right)
  return {
    p50: times[times.length >> 1] as number,
    p99: times[Math.floor(times.length * 0.99)] as number,
    perSecond: reads / seconds,
    delay: delayText(delay),
    checksum,
  }
}

/** Of this thread, whose timer is asked for each millisecond. */
function delayText(delay: IntervalHistogram): string {
  const ms = (ns: number) => (ns / 1e6).toFixed(2)
  return `p50 ${ms(delay.percentile(50))}, p99 ${ms(delay.percentile(99))}, max ${ms(delay.max)} ms`
}

/** The same while nothing is done. */
async function idleDelay(): Promise<string> {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  await after(idleMs)
  delay.disable()
  return delayText(delay)
}

/** False where that is not allowed. */
function dropPageCache(): boolean {
  try {
    execFileSync('sync')
    writeFileSync('/proc/sys/vm/drop_caches', '3')
    return true
  } catch {
    return false
  }
}

function gcd(left: number, right: number): number {
  return right === 0 ? left : gcd(right, left % right)
}
