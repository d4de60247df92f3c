/** The writing stream of a blob over the socket: the owner has it as a stream of its own, piece by piece. */
import { Writable } from 'node:stream'
import type { Key, WriteOptions } from '../native/engine.ts'
import type { Channel } from './channel.ts'
import { optionWords, textOf } from './commands.ts'

export interface RemoteBlobTarget {
  /** A stream must not stand before writes of others: the connection for what may take long. */
  readonly channel: Channel
  readonly namespace: string
  readonly key: Key
  readonly write: WriteOptions | undefined
  /** Bytes sent at a time. */
  readonly pieceBytes: number
}

/** Nothing is visible until it has finished; when it is destroyed, or its connection is lost, nothing ever is. */
export class RemoteBlobWriter extends Writable {
  readonly #target: RemoteBlobTarget
  #id: string | undefined
  #isEnded = false

  constructor(target: RemoteBlobTarget, signal: AbortSignal | undefined) {
    super({ highWaterMark: target.pieceBytes, ...(signal === undefined ? {} : { signal }) })
    this.#target = target
  }

  override _write(piece: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#send(piece).then(() => done(), done)
  }

  override _writev(pieces: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#send(Buffer.concat(pieces.map(({ chunk }) => chunk))).then(() => done(), done)
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#finish().then(() => done(), done)
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (this.#id !== undefined && !this.#isEnded) {
      // The owner drops what is left of it when the connection goes, too.
      this.#target.channel.request('RC.BLOB.ABORT', [this.#id], false).catch(() => {})
    }
    done(error)
  }

  async #begin(): Promise<string> {
    if (this.#id === undefined) {
      const { channel, namespace, key, write } = this.#target
      const reply = await channel.request('RC.BLOB.WRITE', [namespace, key, ...optionWords(write)], false)
      this.#id = textOf(reply, 'RC.BLOB.WRITE')
      // Destroyed meanwhile, when there was nothing to abort yet.
      if (this.destroyed) channel.request('RC.BLOB.ABORT', [this.#id], false).catch(() => {})
    }
    return this.#id
  }

  async #send(bytes: Buffer): Promise<void> {
    const id = await this.#begin()
    const { channel, pieceBytes } = this.#target
    for (let at = 0; at < bytes.length && !this.destroyed; at += pieceBytes) {
      await channel.request('RC.BLOB.CHUNK', [id, bytes.subarray(at, at + pieceBytes)], false)
    }
  }

  async #finish(): Promise<void> {
    const id = await this.#begin()
    if (this.destroyed) return
    this.#isEnded = true
    await this.#target.channel.request('RC.BLOB.END', [id], false)
  }
}
