/** Pages of a scan over all tiers, in the thread that keeps the index. */
import { BroadcastChannel } from 'node:worker_threads'
import { binding, type NativeHandle, type NativeScanned } from '../native/binding.ts'
import type { LogIndex, ScanRow } from '../tiers/log-index.ts'
import type { HddLink } from './hdd-link.ts'
import { channelName, type ScanReply, type ScanRequest } from './messages.ts'

/** Rows looked at for one page: some tens of reads of the log each, and a read transaction far under 50 ms. */
const pageRows = 256
const typeBlob = 11
const namespaceBytes = 2
const rowHeadBytes = 14

/** Answers scans until the channel is closed. `checkpoint` brings the index up to the log. */
export function servePages(
  handle: NativeHandle,
  index: LogIndex,
  hdd: HddLink | undefined,
  dir: string,
  checkpoint: () => Promise<void>,
): BroadcastChannel {
  const channel = new BroadcastChannel(channelName(dir))
  const serve = async (request: ScanRequest): Promise<ScanReply> => {
    const { id } = request
    try {
      if (request.from === undefined) {
        binding().awaitAllLogged(handle)
        await checkpoint()
      }
      return { kind: 'page', id, ...(await pageOf(handle, index, hdd, request)) }
    } catch (error) {
      const { code = 'ERR_RAMCACHE_UNAVAILABLE', message } = error as { code?: string; message: string }
      return { kind: 'page', id, entries: [], next: undefined, failure: { code, message } }
    }
  }
  channel.onmessage = (event) => {
    const { data } = event as { data: ScanRequest | ScanReply }
    if (data.kind === 'scan') void serve(data).then((reply) => channel.postMessage(reply))
  }
  return channel
}

async function pageOf(
  handle: NativeHandle,
  index: LogIndex,
  hdd: HddLink | undefined,
  { namespace, prefix, from }: ScanRequest,
): Promise<{ entries: NativeScanned[]; next: Uint8Array | undefined }> {
  const start = Buffer.alloc(namespaceBytes)
  start.writeUInt16BE(binding().namespaceId(handle, namespace))
  const wanted = Buffer.concat([start, prefix])
  const begin = from && Buffer.from(from)
  const page = index.scan(wanted, begin, pageRows)
  if (hdd === undefined) return { entries: describe(handle, page.rows, start), next: page.next }
  // Described before the lower tier is asked: what moves down meanwhile is met there too, and is not shown twice.
  const known = new Set(page.rows.map(({ key }) => key.toString('latin1')))
  const rows = page.rows.map((row) => ({ key: row.key, entries: describe(handle, [row], start) }))
  const below = await hdd.show(wanted, begin)
  // Both have everything before the first of their ends.
  const end = earlier(page.next, below.next && Buffer.from(below.next))
  const isBefore = (key: Uint8Array) => end === undefined || Buffer.compare(key, end) < 0
  const found = rows.filter(({ key }) => isBefore(key))
  for (const { stored, scanned } of below.entries) {
    const isShown = scanned !== null && isBefore(stored) && !known.has(Buffer.from(stored).toString('latin1'))
    if (isShown) found.push({ key: Buffer.from(stored), entries: [scanned] })
  }
  found.sort((left, right) => Buffer.compare(left.key, right.key))
  return { entries: found.flatMap(({ entries }) => entries), next: end }
}

function earlier(left: Buffer | undefined, right: Buffer | undefined): Buffer | undefined {
  if (left === undefined || right === undefined) return left ?? right
  return Buffer.compare(left, right) < 0 ? left : right
}

function describe(handle: NativeHandle, rows: readonly ScanRow[], start: Buffer): NativeScanned[] {
  const parts = rows.flatMap(({ key, isHashed, row }) => {
    if (row.isTombstone) return []
    const head = Buffer.alloc(rowHeadBytes)
    head.writeUInt32LE(row.file, 0)
    head.writeUInt32LE(row.offset, 4)
    head.writeUInt32LE(row.bytes, 8)
    const shown = isHashed ? start : key
    head.writeUInt16LE(shown.length, 12)
    return [head, shown]
  })
  return binding().describeRows(handle, Buffer.concat(parts), typeBlob)
}
