/** Pages of a scan over all tiers, in the thread that keeps the index. */
import { BroadcastChannel } from 'node:worker_threads'
import { binding, type NativeHandle, type NativeScanned } from '../native/binding.ts'
import type { LogIndex } from '../tiers/log-index.ts'
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
      return { kind: 'page', id, ...pageOf(handle, index, request) }
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

function pageOf(
  handle: NativeHandle,
  index: LogIndex,
  { namespace, prefix, from }: ScanRequest,
): { entries: NativeScanned[]; next: Uint8Array | undefined } {
  const start = Buffer.alloc(namespaceBytes)
  start.writeUInt16BE(binding().namespaceId(handle, namespace))
  const wanted = Buffer.concat([start, prefix])
  const page = index.scan(wanted, from && Buffer.from(from), pageRows)
  const parts = page.rows.flatMap(({ key, isHashed, row }) => {
    if (row.isTombstone) return []
    const head = Buffer.alloc(rowHeadBytes)
    head.writeUInt32LE(row.file, 0)
    head.writeUInt32LE(row.offset, 4)
    head.writeUInt32LE(row.bytes, 8)
    const shown = isHashed ? start : key
    head.writeUInt16LE(shown.length, 12)
    return [head, shown]
  })
  const entries = binding().describeRows(handle, Buffer.concat(parts), typeBlob)
  return { entries, next: page.next }
}
