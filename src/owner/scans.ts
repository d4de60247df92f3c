/**
 * Scans over all tiers, asked for in pages: the thread that keeps the index walks it, so no other one touches a disk and
 * no page is longer than a message.
 */
import { BroadcastChannel } from 'node:worker_threads'
import { RamcacheError } from '../base/errors.ts'
import { freshId } from '../base/prng.ts'
import type { NativeScanned } from '../native/binding.ts'
import { channelName, type ScanReply, type ScanRequest } from './messages.ts'

export interface TierPage {
  readonly entries: readonly NativeScanned[]
  readonly next: Uint8Array | undefined
}

interface Waiting {
  resolve(page: TierPage): void
  reject(error: unknown): void
}

/** One for each open store in each thread. */
export class TierScans {
  readonly #dir: string
  readonly #waiting = new Map<string, Waiting>()
  #channel: BroadcastChannel | undefined
  #isClosed = false

  constructor(dir: string) {
    this.#dir = dir
  }

  /** The page after `from`, in the order of keys. Rejects with what the log or the index failed with. */
  page(namespace: string, prefix: string, from: Uint8Array | undefined): Promise<TierPage> {
    if (this.#isClosed) return Promise.reject(closedError())
    const channel = this.#open()
    const id = freshId()
    const request: ScanRequest = { kind: 'scan', id, namespace, prefix: Buffer.from(prefix), from }
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      channel.ref()
      channel.postMessage(request)
    })
  }

  close(): void {
    this.#isClosed = true
    this.#channel?.close()
    for (const { reject } of this.#waiting.values()) reject(closedError())
    this.#waiting.clear()
  }

  #open(): BroadcastChannel {
    if (this.#channel !== undefined) return this.#channel
    const channel = new BroadcastChannel(channelName(this.#dir))
    channel.onmessage = (event) => this.#take((event as { data: ScanReply | ScanRequest }).data)
    this.#channel = channel
    return channel
  }

  #take(reply: ScanReply | ScanRequest): void {
    if (reply.kind === 'page' && reply.isForAll === true) {
      for (const id of [...this.#waiting.keys()]) this.#take({ ...reply, id, isForAll: false })
      return
    }
    const waiting = this.#waiting.get(reply.id)
    if (reply.kind !== 'page' || waiting === undefined) return
    this.#waiting.delete(reply.id)
    if (this.#waiting.size === 0) this.#channel?.unref()
    const { failure } = reply
    if (failure === undefined) waiting.resolve(reply)
    else waiting.reject(new RamcacheError(failure.code as RamcacheError['code'], failure.message))
  }
}

function closedError(): RamcacheError {
  return new RamcacheError('ERR_RAMCACHE_CLOSED', 'the cache is closed')
}
