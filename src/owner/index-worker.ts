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
import { LogIndex } from '../tiers/log-index.ts'
import type { FromKeeper, PinnedKey, Stop, TierThreadData } from './messages.ts'
import { servePages } from './scan-pages.ts'

/** How often the log is asked whether a checkpoint is due. */
const checkpointPollMs = 200
/** And how long after one that failed. */
const checkpointRetryMs = 2000

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
async function checkpoint(handle: NativeHandle, index: LogIndex, isForced: boolean): Promise<void> {
  const found = binding().beginCheckpoint(handle, isForced)
  if (found === null) return
  let isCommitted = false
  try {
    await index.commit(found.entries, { file: found.file, offset: found.offset })
    isCommitted = true
  } finally {
    binding().endCheckpoint(handle, isCommitted)
  }
}

/** Keys read from the index between two looks at whether to stop. */
const filterPageRows = 5000

/** Makes the absent filter from the index. The old one, or "maybe", answers until it is complete. */
async function rebuildFilter(
  handle: NativeHandle,
  index: LogIndex,
  isStopping: () => boolean,
): Promise<void> {
  const rebuild = binding().beginFilter(handle, index.count().entries)
  if (rebuild === 0) return
  let isComplete = false
  try {
    for (let from: Buffer | undefined; !isStopping(); ) {
      const page = index.scan(noBytes, from, filterPageRows)
      const parts = page.rows.flatMap(({ key, isHashed, row }) => {
        if (row.isTombstone) return []
        if (isHashed) {
          binding().addRecordToFilter(handle, row.file, row.offset, row.bytes)
          return []
        }
        const length = Buffer.alloc(2)
        length.writeUInt16LE(key.length)
        return [length, key]
      })
      binding().addToFilter(handle, Buffer.concat(parts))
      from = page.next
      if (from === undefined) {
        isComplete = true
        return
      }
      await turn()
    }
  } finally {
    binding().endFilter(handle, rebuild, isComplete)
  }
}

const noBytes = Buffer.alloc(0)

async function run(): Promise<void> {
  const warnings: string[] = []
  const handle = binding().joinStore(data.dir)
  const index = await openIndex(warnings)
  const pinned = start(handle, index, warnings)
  // One at a time: the log sets aside only one stretch.
  let checkpoints = Promise.resolve()
  const enqueueCheckpoint = (isForced: boolean) => {
    const done = checkpoints.then(() => checkpoint(handle, index, isForced))
    checkpoints = done.catch(() => {})
    return done
  }
  const scans = servePages(handle, index, data.dir, () => enqueueCheckpoint(true))
  const started: FromKeeper = { kind: 'started', pinned, warnings }
  port.postMessage(started)
  let isStopping = false
  const stopped = new Promise<void>((resolve) => {
    port.on('message', (message: Stop) => {
      isStopping = message.kind === 'stop'
      resolve()
    })
  })
  let crowdedAt = -1
  while (!isStopping) {
    try {
      if (crowdedAt < 0 || (binding().isFilterCrowded(handle) && index.count().entries > crowdedAt * 1.5)) {
        // Not again for every look, when there is no room for a larger one.
        crowdedAt = index.count().entries
        await rebuildFilter(handle, index, () => isStopping)
      }
      // What is left in the log at the end is found there at the next start.
      if (!isStopping) await enqueueCheckpoint(false)
      await Promise.race([stopped, new Promise((resolve) => setTimeout(resolve, checkpointPollMs))])
    } catch {
      // A full disk, or an index that takes no more: the log has what the index lacks, now and at the next start.
      await Promise.race([stopped, new Promise((resolve) => setTimeout(resolve, checkpointRetryMs))])
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
