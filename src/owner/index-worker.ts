/**
 * The thread that keeps the index of the value log: opens it, recovers the log from where the index ends, and brings the
 * index up to the log in checkpoints. Only this thread writes to the index.
 */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { RamcacheError } from '../base/errors.ts'
import { binding, type NativeHandle } from '../native/binding.ts'
import { changeHeadBytes, flagCopy } from '../tiers/index-batch.ts'
import { kindClear } from '../tiers/index-row.ts'
import { namespaceBytes } from '../tiers/keys.ts'
import { LogIndex } from '../tiers/log-index.ts'
import { rebuildFilter } from './index-filter.ts'
import { LogDrain } from './log-drain.ts'
import { LiveBytes } from './log-live.ts'
import type { FromKeeper, PinnedKey, Stop, TierThreadData } from './messages.ts'
import { servePages } from './scan-pages.ts'

/** How often the log is asked whether a checkpoint is due, or a drain. */
const pollMs = 200
/** And how long after one that failed. */
const retryMs = 2000

/** Flag of a row; see `native/core/src/log/checkpoint.rs`. */
const flagPinned = 4

const data = workerData as TierThreadData
const port = parentPort as NonNullable<typeof parentPort>

async function openIndex(warnings: string[]): Promise<LogIndex> {
  const dir = join(data.ssdDir, 'index')
  mkdirSync(dir, { recursive: true })
  try {
    return await LogIndex.open(dir)
  } catch (error) {
    if (!(error instanceof RamcacheError) || error.code !== 'ERR_RAMCACHE_CORRUPT') throw error
    // Everything in it came out of the log.
    warnings.push(`${error.message}; the index is made again from the log`)
    rmSync(dir, { recursive: true })
    mkdirSync(dir)
    return LogIndex.open(dir)
  }
}

function start(handle: NativeHandle, index: LogIndex, warnings: string[]): PinnedKey[] {
  const recovery = binding().startBelow(handle, {
    dir: data.ssdDir,
    ...index.position(),
    epochs: index
      .epochs()
      .flatMap(({ namespace, epoch }) => [namespace, Number(epoch >> 32n), Number(epoch & 0xffffffffn)]),
    syncIntervalMs: data.syncIntervalMs,
    fileBytes: data.fileBytes,
    reserveBytes: data.reserveBytes,
  })
  warnings.push(...recovery.damage)
  return data.pinnedNamespaces.flatMap((namespace) => {
    const id = binding().namespaceId(handle, namespace)
    const fromLog = recovery.pinned.filter((pinned) => pinned.namespace === id).map(({ key }) => key)
    return [...new Set([...fromLog, ...pinnedKeys(index, id)])].map((key) => ({ namespace, key }))
  })
}

/** Keys of the rows of a namespace whose records are pinned. */
function pinnedKeys(index: LogIndex, namespace: number): string[] {
  const prefix = Buffer.alloc(2)
  prefix.writeUInt16BE(namespace)
  const keys: string[] = []
  for (let from: Buffer | undefined; ; ) {
    const page = index.scan(prefix, from, 1000)
    for (const { key, row } of page.rows) {
      if (!row.isTombstone && (row.flags & flagPinned) !== 0) keys.push(key.toString('utf8', prefix.length))
    }
    if (page.next === undefined) return keys
    from = page.next
  }
}

/** One checkpoint, when it is time. The entries stay in the log's own index until the commit is on disk. */
async function checkpoint(
  handle: NativeHandle,
  index: LogIndex,
  live: LiveBytes,
  isForced: boolean,
  isStopping: () => boolean,
): Promise<void> {
  const found = binding().beginCheckpoint(handle, isForced)
  if (found === null) return
  let isCommitted = false
  try {
    live.apply(await index.commit(found.entries, { file: found.file, offset: found.offset }))
    isCommitted = true
  } finally {
    binding().endCheckpoint(handle, isCommitted)
  }
  for (const namespace of clearedIn(found.entries)) await sweep(index, namespace, live, isStopping)
}

/** Namespaces that were cleared: clears come first. One that a drain has copied was seen before. */
function clearedIn(entries: Buffer): number[] {
  const cleared: number[] = []
  for (let at = 0; entries[at + 2] === kindClear; at += changeHeadBytes + namespaceBytes) {
    const isKnown = ((entries[at + 3] as number) & flagCopy) !== 0
    if (!isKnown) cleared.push(entries.readUInt16BE(at + changeHeadBytes))
  }
  return cleared
}

/** Removes the rows that a clear has made dead; cut short by the end of the thread, they stay and only take room. */
async function sweep(
  index: LogIndex,
  namespace: number,
  live: LiveBytes,
  isStopping: () => boolean,
): Promise<void> {
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
  const index = await openIndex(warnings)
  const pinned = start(handle, index, warnings)
  let isStopping = false
  const isEnding = () => isStopping
  const live = new LiveBytes()
  // One at a time: the log sets aside only one stretch.
  let checkpoints = Promise.resolve()
  const enqueueCheckpoint = (isForced: boolean) => {
    const done = checkpoints.then(() => checkpoint(handle, index, live, isForced, isEnding))
    checkpoints = done.catch(() => {})
    return done
  }
  const scans = servePages(handle, index, data.dir, () => enqueueCheckpoint(true))
  const started: FromKeeper = { kind: 'started', pinned, warnings }
  port.postMessage(started)
  const stopped = new Promise<void>((resolve) => {
    port.on('message', (message: Stop) => {
      isStopping = message.kind === 'stop'
      resolve()
    })
  })
  const rest = (ms: number) => Promise.race([stopped, new Promise((resolve) => setTimeout(resolve, ms))])
  // What is left in the log at the end is found there at the next start.
  const pause = async (ms: number): Promise<boolean> => {
    await turn()
    if (ms > 0) await rest(ms)
    if (!isStopping) await enqueueCheckpoint(false)
    return !isStopping
  }
  await live.count(index, isEnding)
  const drain = new LogDrain({ handle, index, live, fileBytes: data.fileBytes, pause })
  let crowdedAt = -1
  while (!isStopping) {
    try {
      if (crowdedAt < 0 || (binding().isFilterCrowded(handle) && index.count().entries > crowdedAt * 1.5)) {
        // Not again for every look, when there is no room for a larger one.
        crowdedAt = index.count().entries
        await rebuildFilter(handle, index, isEnding)
      }
      // One file after the other while there are some; a look at everything else in between.
      if (!(await drain.step())) await pause(pollMs)
    } catch {
      // A full disk, or an index that takes no more: the log has what the index lacks, now and at the next start.
      await rest(retryMs)
    }
  }
  scans.close()
  await checkpoints
  let failure: unknown
  try {
    binding().stopBelow(handle)
  } catch (error) {
    failure = error
  }
  await index.close()
  binding().closeStore(handle, false)
  if (failure !== undefined) throw failure
  const message: FromKeeper = { kind: 'stopped' }
  port.postMessage(message)
  port.close()
}

run().catch((error: unknown) => {
  const { code, message } = error as { code?: string; message: string }
  const failed: FromKeeper = { kind: 'failed', code: code ?? 'ERR_RAMCACHE_UNAVAILABLE', message }
  port.postMessage(failed)
  port.close()
})
