/** Blobs that clients write piece by piece. What a connection has begun ends with it. */
import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { RamcacheError, show } from '../base/errors.ts'
import type { Cache } from '../cache/types.ts'
import type { WriteStreamOptions } from '../config/options.ts'

/** Blobs that one connection writes at a time. */
const openMost = 64

interface Writing {
  readonly stream: Writable
  /** Why it ended, when it did not end well. */
  failure: unknown
}

export class BlobWrites {
  readonly #byConnection = new Map<number, Map<string, Writing>>()
  #nextId = 0

  begin(connection: number, cache: Cache, key: Buffer, options: WriteStreamOptions): string {
    const open = this.#byConnection.get(connection) ?? new Map<string, Writing>()
    if (open.size >= openMost) {
      const message = `this connection writes ${openMost} blobs already, which is the limit`
      throw new RamcacheError('ERR_RAMCACHE_UNAVAILABLE', message)
    }
    const stream = cache.createWriteStream(Buffer.from(key), options)
    const writing: Writing = { stream, failure: undefined }
    stream.on('error', (error) => {
      writing.failure = error
    })
    const id = String(++this.#nextId)
    open.set(id, writing)
    this.#byConnection.set(connection, open)
    return id
  }

  /** Resolves when the piece may be forgotten. */
  async write(connection: number, id: string, bytes: Buffer): Promise<void> {
    const writing = this.#find(connection, id)
    // The memory of a request holds others too.
    const piece = Buffer.from(bytes)
    await new Promise<void>((resolve, reject) => {
      writing.stream.write(piece, (error) => (error ? reject(writing.failure ?? error) : resolve()))
    }).catch((error) => {
      this.#forget(connection, id)
      throw error
    })
  }

  /** Resolves when it is visible. */
  async end(connection: number, id: string): Promise<void> {
    const { stream } = this.#find(connection, id)
    try {
      const finished = once(stream, 'finish')
      stream.end()
      await finished
    } finally {
      this.#forget(connection, id)
    }
  }

  async abort(connection: number, id: string): Promise<void> {
    const { stream } = this.#find(connection, id)
    this.#forget(connection, id)
    await destroyed(stream)
  }

  /** The connection is gone. */
  drop(connection: number): void {
    const open = this.#byConnection.get(connection)
    this.#byConnection.delete(connection)
    for (const { stream } of open?.values() ?? []) stream.destroy()
  }

  async dropAll(): Promise<void> {
    const streams = [...this.#byConnection.values()].flatMap((open) => [...open.values()])
    this.#byConnection.clear()
    await Promise.all(streams.map(({ stream }) => destroyed(stream)))
  }

  #find(connection: number, id: string): Writing {
    const writing = this.#byConnection.get(connection)?.get(id)
    if (writing === undefined) {
      const message = `this connection does not write a blob ${show(id)}`
      throw new RamcacheError('ERR_RAMCACHE_UNAVAILABLE', message)
    }
    if (writing.failure !== undefined) {
      this.#forget(connection, id)
      throw writing.failure
    }
    return writing
  }

  #forget(connection: number, id: string): void {
    const open = this.#byConnection.get(connection)
    open?.delete(id)
    if (open?.size === 0) this.#byConnection.delete(connection)
  }
}

async function destroyed(stream: Writable): Promise<void> {
  if (stream.closed) return
  const closed = once(stream, 'close')
  stream.destroy()
  await closed
}
