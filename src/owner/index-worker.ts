/**
 * The thread that keeps the index of the value log: opens it, recovers the log from where the index ends, and brings the
 * index up to the log in checkpoints. Only this thread writes to the index.
 */
import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { systemClock } from '../base/clock.ts'
import { errorTable, RamcacheError } from '../base/errors.ts'
import { binding, type NativeHandle } from '../native/binding.ts'
import { tagsNamespace } from '../native/engine.ts'
import { changeHeadBytes, flagCopy } from '../tiers/index-batch.ts'
import { kindClear } from '../tiers/index-row.ts'
import { namespaceBytes } from '../tiers/keys.ts'
import { LogIndex, type ScanRow } from '../tiers/log-index.ts'
import { DrainHold } from './drain-hold.ts'
import { Garbage } from './garbage.ts'
import { HddLink } from './hdd-link.ts'
import { checkHddMarks } from './hdd-mark.ts'
import { HotSet } from './hot-set.ts'
import { rebuildFilter } from './index-filter.ts'
import { serveJobs } from './job-server.ts'
import { LogDrain } from './log-drain.ts'
import { LiveBytes, reportIndex } from './log-live.ts'
import type { FromKeeper, PinnedKey, Stop, TierThreadData } from './messages.ts'
import { numberOfName } from './names-file.ts'
import { standBack } from './priority.ts'
import { Recall } from './recall.ts'
import { servePages } from './scan-pages.ts'
import { startThread } from './threads.ts'

/** Never set back. */
const nowMs = () => systemClock.monotonicUs() / 1000

/** How often the log is asked whether a checkpoint is due, or a drain. */
const pollMs = 200
/** And how long after something that failed. */
const retryMs = 2000
/** How often what is dead in the HDD tier is looked for: nothing else meets it there. */
const hddSweepMs = 3_600_000

/** Flag of a row; see `native/core/src/log/checkpoint.rs`. */
const flagPinned = 4

/** Entries of a checkpoint that are on their way to the index. */
const part = Buffer.allocUnsafeSlow(256 * 1024)

const data = workerData as TierThreadData
const port = parentPort as NonNullable<typeof parentPort>

/** What the parts of this thread share. */
interface Keeper {
  readonly handle: NativeHandle
  readonly index: LogIndex
  readonly live: LiveBytes
  readonly hdd: HddLink | undefined
  /** When what is dead in the HDD tier is looked for next. */
  hddSweepAt: number
  isStopping(): boolean
}

/** `mkdirSync` with `recursive` says of a read-only file system that there is no such directory. */
function makeFolder(dir: string): void {
  if (existsSync(dir)) return
  makeFolder(dirname(dir))
  try {
    mkdirSync(dir)
  } catch (error) {
    const message = `cannot make the folder of the index: ${(error as Error).message}`
    throw new RamcacheError('ERR_RAMCACHE_UNAVAILABLE', message, error)
  }
}

async function openIndex(memoryBytes: number, warnings: string[]): Promise<LogIndex> {
  const dir = join(data.ssdDir, 'index')
  makeFolder(dir)
  const options = {
    memoryBytes,
    // The tier below may have an older version of what is deleted.
    keepTombstones: data.hddDir !== undefined,
    // Of a reserve of two files the log takes one; what a drain brings to the index must find room in the other.
    freeBytesMin: data.fileBytes / 4,
  }
  try {
    return await LogIndex.open(dir, options)
  } catch (error) {
    if (!(error instanceof RamcacheError) || error.code !== 'ERR_RAMCACHE_CORRUPT') throw error
    // Everything in it came out of the log.
    warnings.push(`${error.message}; the index is made again from the log`)
    rmSync(dir, { recursive: true })
    mkdirSync(dir)
    return LogIndex.open(dir, options)
  }
}

interface Start {
  readonly firstFile: number
  readonly pinned: PinnedKey[]
  readonly recall: Recall
}

function start(handle: NativeHandle, index: LogIndex, warnings: string[]): Start {
  const tagsId = numberOfName(data.ssdDir, tagsNamespace)
  const recovery = binding().startBelow(handle, {
    dir: data.ssdDir,
    ...index.position(),
    epochs: index
      .epochs()
      .flatMap(({ namespace, epoch }) => [namespace, Number(epoch >> 32n), Number(epoch & 0xffffffffn)]),
    tags: tagsId === undefined ? Buffer.alloc(0) : packTags(index, tagsId),
    syncIntervalMs: data.syncIntervalMs,
    fileBytes: data.fileBytes,
    reserveBytes: data.reserveBytes,
    hasLower: data.hddDir !== undefined,
  })
  try {
    checkHddMarks(data.ssdDir, data.hddDir, recovery.storeId)
  } catch (error) {
    binding().stopBelow(handle)
    throw error
  }
  warnings.push(...recovery.damage)
  // Those of tags have come up before anything else.
  const ids = new Set<number>(tagsId === undefined ? [] : [tagsId])
  const pinned = data.pinnedNamespaces.flatMap((namespace) => {
    const id = binding().namespaceId(handle, namespace)
    ids.add(id)
    const ofIt = recovery.pinned.filter((pinned) => pinned.namespace === id)
    const fromLog = ofIt.map(({ key }) => key.toString())
    return [...new Set([...fromLog, ...pinnedKeys(index, id)])].map((key) => ({ namespace, key }))
  })
  const recall = new Recall(handle, ids)
  for (const { namespace, key } of recovery.pinned) recall.add(namespace, key)
  return { firstFile: recovery.firstFile, pinned, recall }
}

/** Keys of the rows of a namespace whose records are pinned. */
function pinnedKeys(index: LogIndex, namespace: number): string[] {
  return [...pinnedRows(index, namespace)].map(({ key }) => key.toString('utf8', namespaceBytes))
}

function* pinnedRows(index: LogIndex, namespace: number): Generator<ScanRow> {
  const prefix = Buffer.alloc(namespaceBytes)
  prefix.writeUInt16BE(namespace)
  for (let from: Buffer | undefined; ; ) {
    const page = index.scan(prefix, from, 1000)
    for (const found of page.rows) {
      if (!found.row.isTombstone && (found.row.flags & flagPinned) !== 0) yield found
    }
    if (page.next === undefined) return
    from = page.next
  }
}

/** The epochs of tags: a record of one is its key and its version, so nothing has to be read but the row. */
function packTags(index: LogIndex, namespace: number): Buffer {
  const parts: Buffer[] = []
  for (const { key, row } of pinnedRows(index, namespace)) {
    const head = Buffer.alloc(10)
    head.writeUInt16LE(key.length - namespaceBytes, 0)
    head.writeBigUInt64LE(row.clock, 2)
    parts.push(head, key.subarray(namespaceBytes))
  }
  return Buffer.concat(parts)
}

/** One checkpoint, when it is time. The entries stay in the log's own index until the commit is on disk. */
async function checkpoint(keeper: Keeper, isForced: boolean): Promise<void> {
  const { handle, index, live } = keeper
  const found = binding().beginCheckpoint(handle, isForced)
  if (found === null) return
  let isCommitted = false
  const cleared: number[] = []
  try {
    const parts = { count: found.count, next: () => nextPart(found.entries, cleared) }
    live.apply(await index.commit(parts, { file: found.file, offset: found.offset }))
    isCommitted = true
  } finally {
    binding().endCheckpoint(handle, isCommitted)
  }
  for (const namespace of cleared) {
    await sweep(keeper, namespace)
    keeper.hddSweepAt = 0
  }
  reportIndex(handle, index)
}

/** The next entries, and the namespaces that they clear: clears come first. One that a drain has copied was seen before. */
function nextPart(taken: object, cleared: number[]): Buffer {
  const entries = part.subarray(0, binding().takeEntries(taken, part))
  for (let at = 0; entries[at + 2] === kindClear; at += changeHeadBytes + namespaceBytes) {
    const isKnown = ((entries[at + 3] as number) & flagCopy) !== 0
    if (!isKnown) cleared.push(entries.readUInt16BE(at + changeHeadBytes))
  }
  return entries
}

/** Removes the rows that a clear has made dead; cut short by the end of the thread, they stay and only take room. */
async function sweep({ index, live, isStopping }: Keeper, namespace: number): Promise<void> {
  for (let from: Buffer | undefined; !isStopping(); await turn()) {
    const { outcome, next } = await index.sweep(namespace, from)
    live.apply(outcome)
    if (next === undefined) return
    from = next
  }
}

async function run(): Promise<void> {
  const warnings: string[] = []
  const handle = binding().joinStore(data.dir)
  const { budgetBytes } = JSON.parse(binding().countStore(handle)) as { budgetBytes: number }
  const index = await openIndex(budgetBytes, warnings)
  let found: Start
  try {
    found = start(handle, index, warnings)
  } catch (error) {
    await index.close()
    binding().closeStore(handle, false)
    throw error
  }
  let isStopping = false
  const hdd =
    data.hddDir === undefined
      ? undefined
      : new HddLink(startThread('hdd-worker', data), (message) => {
          process.emitWarning(message, 'RamcacheWarning')
          binding().failBelow(handle, message)
        })
  const keeper: Keeper = {
    handle,
    index,
    live: new LiveBytes(),
    hdd,
    hddSweepAt: nowMs() + hddSweepMs,
    isStopping: () => isStopping,
  }
  // One at a time: the log sets aside only one stretch.
  let checkpoints = Promise.resolve()
  const enqueueCheckpoint = (isForced: boolean) => {
    const done = checkpoints.then(() => checkpoint(keeper, isForced))
    checkpoints = done.catch(() => {})
    return done
  }
  const scans = servePages(handle, index, hdd, data.dir, () => enqueueCheckpoint(true))
  const hold = new DrainHold()
  const jobs = serveJobs({
    index,
    dir: data.dir,
    ssdDir: data.ssdDir,
    hddDir: data.hddDir,
    hdd,
    hold,
    checkpoint: () => {
      binding().awaitAllLogged(handle)
      return enqueueCheckpoint(true)
    },
    isStopping: keeper.isStopping,
  })
  reportIndex(handle, index)
  const hot = new HotSet(handle, data.warms, (message) => warnings.push(message))
  const started: FromKeeper = { kind: 'started', pinned: found.pinned, warnings }
  port.postMessage(started)
  standBack()
  const stopped = new Promise<void>((resolve) => {
    port.on('message', (message: Stop) => {
      isStopping = message.kind === 'stop'
      resolve()
    })
  })
  const garbage = new Garbage()
  const rest = (ms: number) => Promise.race([stopped, new Promise((resolve) => setTimeout(resolve, ms))])
  /** Does something again and again until the end; `work` resolves to how long to rest before the next time. */
  const keep = async (work: () => Promise<number>): Promise<void> => {
    while (!isStopping) {
      // What fails is tried again: a full disk, or an index that takes no more. The log has what the index lacks.
      await rest(await work().catch(() => retryMs))
    }
  }
  const pause = async (ms: number): Promise<boolean> => {
    await turn()
    if (ms > 0) await rest(ms)
    return !isStopping
  }
  const drain = new LogDrain({ ...keeper, ...data, pause, checkpoint: () => enqueueCheckpoint(true) })
  // A row that cannot be read is met again by who asks for it.
  const seeRow = (row: ScanRow) => {
    try {
      found.recall.see(row)
    } catch {}
  }
  let filteredAt = -1
  const kept = Promise.all([
    keep(async () => {
      await enqueueCheckpoint(false)
      return pollMs
    }),
    keep(async () => {
      const { entries } = index.count()
      const isDue = filteredAt < 0 || (binding().isFilterCrowded(handle) && entries > filteredAt * 1.5)
      // Not again for every look, when there is no room for a larger one.
      if (isDue) await rebuildFilter(handle, index, hdd, keeper.isStopping)
      if (isDue) filteredAt = entries
      return pollMs
    }),
    keeper.live.count(index, found.firstFile, keeper.isStopping, seeRow).then(async () => {
      await found.recall.run(keeper.isStopping)
      // One file after the other while there are some.
      return keep(async () => ((await hold.step(() => drain.step())) ? 0 : pollMs))
    }),
    keep(async () => {
      if (hdd !== undefined && nowMs() >= keeper.hddSweepAt) {
        keeper.hddSweepAt = nowMs() + hddSweepMs
        await hdd.sweep()
      }
      return pollMs
    }),
    keep(async () => hot.step()),
    keep(async () => {
      garbage.collect()
      return pollMs
    }),
  ])
  await stopped
  scans.close()
  await jobs.close()
  // A sweep of the HDD tier ends with it.
  const hddClosed = hdd
    ?.close()
    .catch((error: Error) => process.emitWarning(error.message, 'RamcacheWarning'))
  await kept
  await checkpoints
  hot.close()
  let failure: unknown
  try {
    binding().stopBelow(handle)
  } catch (error) {
    failure = error
  }
  await hddClosed
  await index.close()
  binding().closeStore(handle, false)
  if (failure !== undefined) throw failure
  const message: FromKeeper = { kind: 'stopped' }
  port.postMessage(message)
  port.close()
}

run().catch((error: unknown) => {
  const { code: found, message } = error as { code?: string; message: string }
  // What the system says is no code of ours.
  const code = found !== undefined && found in errorTable ? found : 'ERR_RAMCACHE_UNAVAILABLE'
  const failed: FromKeeper = { kind: 'failed', code, message }
  port.postMessage(failed)
  port.close()
})
