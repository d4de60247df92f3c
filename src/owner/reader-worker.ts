/**
 * A thread that answers cold reads: it waits for questions, looks their keys up in the index, and lets the native part
 * read the log. It waits in native code, so it costs little to wake; its event loop turns now and then.
 */
import { once } from 'node:events'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { binding } from '../native/binding.ts'
import { LogIndex } from '../tiers/log-index.ts'
import { tierKeyBytesMax } from '../tiers/tier.ts'
import type { Serving, TierThreadData } from './messages.ts'

/** Questions taken at a time: enough to share a look at the index, few enough for two threads to share the work. */
const batchMost = 16
/** Batches between two turns of the event loop: lmdb-js sets a timer for each look at the index. */
const batchesPerTurn = 64
/** How long one wait lasts; only how soon a broken process is noticed depends on it. */
const patienceMs = 1000
/** `u64 id | u16 key bytes`, before each key. */
const questionBytes = 10
/** `u64 id | u32 file | u32 offset | u32 bytes | u32 0`. */
const rowBytes = 24
// Used again and again: what the native part gives away is freed at turns of the event loop.
const questions = Buffer.allocUnsafeSlow(batchMost * (questionBytes + tierKeyBytesMax))
const answers = Buffer.alloc(batchMost * rowBytes)

const data = workerData as TierThreadData
const port = parentPort as NonNullable<typeof parentPort>
await once(port, 'message')
const handle = binding().joinStore(data.dir)
binding().serveMisses(handle)
const openIndex = () => LogIndex.open(join(data.ssdDir, 'index'), { isReader: true })
// A disk that does not let it fails the reads that need it, not the program, and is asked again by the next.
let index = await openIndex().catch(() => undefined)
// From now on the disk may become read-only: what has the index open reads on.
const serving: Serving = { kind: 'serving' }
port.postMessage(serving)
port.close()
for (let served = 1; await serve(); served++) if (served % batchesPerTurn === 0) await turn()
await index?.close()
binding().closeStore(handle, false)

/** False when the store is closed. */
async function serve(): Promise<boolean> {
  const bytes = binding().takeMisses(handle, batchMost, patienceMs, questions)
  if (bytes < 0) return false
  const ids: Buffer[] = []
  const keys: Buffer[] = []
  for (let at = 0; at < bytes; ) {
    const keyAt = at + questionBytes
    const next = keyAt + questions.readUInt16LE(at + 8)
    ids.push(questions.subarray(at, at + 8))
    keys.push(questions.subarray(keyAt, next))
    at = next
  }
  if (ids.length === 0) return true
  try {
    index ??= await openIndex()
    const rows = index.findMany(keys)
    const answer = answers.subarray(0, ids.length * rowBytes).fill(0)
    for (const [number, row] of rows.entries()) {
      const at = number * rowBytes
      ids[number]?.copy(answer, at)
      if (row === undefined) continue
      if (row.isTombstone) {
        answer.writeUInt32LE(1, at + 12)
        continue
      }
      answer.writeUInt32LE(row.file, at + 8)
      answer.writeUInt32LE(row.offset, at + 12)
      answer.writeUInt32LE(row.bytes, at + 16)
    }
    binding().answerMisses(handle, answer)
  } catch (error) {
    binding().failMisses(
      handle,
      ids.map((id) => Number(id.readBigUInt64LE())),
      `the index of the log cannot be read: ${(error as Error).message}`,
      (error as { code?: string }).code === 'ERR_RAMCACHE_CORRUPT',
    )
  }
  return true
}
