/** The HDD tier, as the thread that keeps the index sees it: another thread, asked by messages. */
import { once } from 'node:events'
import type { Worker } from 'node:worker_threads'
import { RamcacheError } from '../base/errors.ts'
import type { CheckedPage, HddReply, HddRequest, ShownPage } from './hdd-messages.ts'
import type { HddPageCheck } from './verify-hdd.ts'

interface Waiting {
  resolve(reply: HddReply): void
  reject(error: unknown): void
}

type WithoutId<T> = T extends { readonly id: number } ? Omit<T, 'id'> : never

export class HddLink {
  readonly #worker: Worker
  readonly #waiting = new Map<number, Waiting>()
  #lastId = 0
  #failure: RamcacheError | undefined
  #isClosing = false
  readonly #onEnd: (message: string) => void

  /** `onEnd` is told when the thread ends before its time. */
  constructor(worker: Worker, onEnd: (message: string) => void) {
    this.#worker = worker
    this.#onEnd = onEnd
    worker.on('message', (reply: HddReply) => {
      const waiting = this.#waiting.get(reply.id)
      this.#waiting.delete(reply.id)
      const { failure } = reply
      if (failure === undefined) waiting?.resolve(reply)
      else waiting?.reject(new RamcacheError(failure.code as RamcacheError['code'], failure.message))
    })
    worker.on('error', (error: Error) => this.#fail(error.message))
    worker.on('exit', () => this.#fail('it was ended'))
  }

  /** Keeps records of a file of the log, synced when it resolves. */
  async save(
    file: number,
    entries: readonly { key: Buffer; offset: number; bytes: number }[],
  ): Promise<void> {
    const places = Buffer.alloc(entries.length * 8)
    const keys: Buffer[] = []
    for (const [number, { key, offset, bytes }] of entries.entries()) {
      places.writeUInt32LE(offset, number * 8)
      places.writeUInt32LE(bytes, number * 8 + 4)
      const length = Buffer.alloc(2)
      length.writeUInt16LE(key.length)
      keys.push(length, key)
    }
    await this.#ask({ kind: 'save', file, places, keys: Buffer.concat(keys) })
  }

  /** Removes entries up to and including a version, synced when it resolves. */
  async drop(drops: readonly { key: Buffer; version: bigint }[]): Promise<void> {
    if (drops.length > 0) await this.#ask({ kind: 'drop', drops })
  }

  async show(prefix: Buffer, from: Buffer | undefined): Promise<ShownPage> {
    const { page } = await this.#ask({ kind: 'show', prefix, from })
    return page ?? { entries: [], next: undefined }
  }

  async count(): Promise<{ entries: number; bytes: number }> {
    const { entries = 0, bytes = 0 } = await this.#ask({ kind: 'count' })
    return { entries, bytes }
  }

  /** Makes some room, by dropping what is coldest for good: how many entries went. */
  async evict(givesBack: boolean): Promise<number> {
    return (await this.#ask({ kind: 'evict', givesBack })).entries ?? 0
  }

  async addKeysToFilter(): Promise<void> {
    await this.#ask({ kind: 'addKeys' })
  }

  async sweep(): Promise<void> {
    await this.#ask({ kind: 'sweep' })
  }

  /** Copies everything to the LevelDB database that is made in `target`: how many entries. `goOn` throws to give it up. */
  async copyTo(target: string, goOn: () => void): Promise<number> {
    let copied = 0
    try {
      for (let from: Uint8Array | undefined; ; ) {
        goOn()
        const { entries = 0, next } = await this.#ask({ kind: 'copy', target, from })
        copied += entries
        from = next
        if (from === undefined) return copied
      }
    } finally {
      await this.#ask({ kind: 'endCopy', target }).catch(() => {})
    }
  }

  async check(names: number, from: Buffer | undefined): Promise<HddPageCheck> {
    const { checked } = await this.#ask({ kind: 'check', names, from })
    const { next, ...counts } = checked as CheckedPage
    return { ...counts, next: next && Buffer.from(next) }
  }

  /** After everything that was asked before. */
  async close(): Promise<void> {
    if (this.#failure !== undefined) return
    this.#isClosing = true
    const exited = once(this.#worker, 'exit')
    await this.#ask({ kind: 'close' })
    await exited
  }

  #ask(request: WithoutId<HddRequest>): Promise<HddReply> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    const id = ++this.#lastId
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#worker.postMessage({ ...request, id })
    })
  }

  #fail(why: string): void {
    const message = `the thread of the HDD tier has ended: ${why}; close the store and open it again`
    const isFirst = this.#failure === undefined
    this.#failure ??= new RamcacheError('ERR_RAMCACHE_UNAVAILABLE', message)
    if (isFirst && !this.#isClosing) this.#onEnd(message)
    for (const { reject } of this.#waiting.values()) reject(this.#failure)
    this.#waiting.clear()
  }
}
