/**
 * Answers for the thread that keeps the index when that has ended before its time: who asked it is told, and so is who asks
 * from now on. What was written is in the log all the same; opening the store again brings the index up to it.
 */
import { BroadcastChannel } from 'node:worker_threads'
import { type JobMessage, jobChannelName } from './jobs.ts'
import { channelName, type ScanReply, type ScanRequest } from './messages.ts'

/** Until the result is called. */
export function standIn(dir: string, message: string): () => void {
  const failure = { code: 'ERR_RAMCACHE_UNAVAILABLE', message }
  const scans = new BroadcastChannel(channelName(dir))
  const jobs = new BroadcastChannel(jobChannelName(dir))
  const page = (id: string): ScanReply => ({ kind: 'page', id, entries: [], next: undefined, failure })
  scans.onmessage = (event) => {
    const { data } = event as { data: ScanRequest | ScanReply }
    if (data.kind === 'scan') scans.postMessage(page(data.id))
  }
  jobs.onmessage = (event) => {
    const { data } = event as { data: JobMessage }
    if (data.kind === 'job') jobs.postMessage({ kind: 'done', id: data.id, failure } satisfies JobMessage)
  }
  // Those who wait already.
  scans.postMessage({ ...page(''), isForAll: true } satisfies ScanReply)
  jobs.postMessage({ kind: 'done', id: '', failure, isForAll: true } satisfies JobMessage)
  for (const channel of [scans, jobs]) channel.unref()
  return () => {
    scans.close()
    jobs.close()
  }
}
