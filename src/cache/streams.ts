/**
 * The two streams of a blob. Neither holds more than a chunk and what Node's own buffer holds, whatever the length.
 *
 * A writer is seen by nobody until it has finished. A reader gives exactly the bytes it was asked for, or fails.
 */
import { Readable, Writable } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { RamcacheError, show } from '../base/errors.ts'
import type { Manifest } from '../codec/blob.ts'
import type { ByteRange } from '../config/stream-options.ts'
import type { Blobs, BlobTarget, Draft, OwnedBlobs } from './blobs.ts'
import type { Key } from './types.ts'

/** Chunks stored without a pause when somebody writes a large piece at once. */
const chunksPerTurn = 4
/** A chunk is gathered in memory that grows up to its size from this: most blobs that are small are one piece. */
const bufferBytesFirst = 4 * 1024

export class BlobWriter extends Writable {
  readonly #blobs: OwnedBlobs
  readonly #target: BlobTarget
  readonly #chunkBytes: number
  /** Bytes of the chunk that is not full yet. */
  #buffer: Buffer = Buffer.alloc(0)
  #filled = 0
  #chunkCount = 0
  #totalBytes = 0
  #draft: Draft | undefined
  #isPublished = false

  constructor(blobs: OwnedBlobs, target: BlobTarget, signal: AbortSignal | undefined) {
    const chunkBytes = blobs.chunkBytes
    super({ highWaterMark: chunkBytes, ...(signal === undefined ? {} : { signal }) })
    this.#blobs = blobs
    this.#target = target
    this.#chunkBytes = chunkBytes
  }

  override _write(piece: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    if (this.#filled + piece.length < this.#chunkBytes) {
      this.#gather(piece)
      done()
      return
    }
    this.#take(piece).then(() => done(), done)
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#finish().then(() => done(), done)
  }

  /** The manifest comes last: what it leads to is durable by then, where anything is. */
  async #finish(): Promise<void> {
    if (this.#filled > 0) await this.#put(this.#buffer.subarray(0, this.#filled), true)
    if (this.#draft !== undefined) await this.#blobs.settled()
    // Whoever broke it off has deleted it.
    if (this.destroyed) return
    await this.#target.whenRoom(() => this.#publish())
    await this.#target.settle()
  }

  #publish(): void {
    if (this.destroyed) return
    if (this.#draft === undefined) this.#blobs.publishEmpty(this.#target, this.#chunkBytes)
    else this.#blobs.publish(this.#draft, this.#totalBytes, this.#chunkBytes)
    this.#isPublished = true
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const draft = this.#draft
    this.#buffer = Buffer.alloc(0)
    if (draft === undefined || this.#isPublished) {
      done(error)
      return
    }
    // What cannot be deleted now is deleted by the sweep; why the stream ended matters more.
    const ended = () => done(error)
    this.#blobs.abandon(draft, this.#chunkCount).then(ended, ended)
  }

  async #take(piece: Buffer): Promise<void> {
    let sinceTurn = 0
    for (let at = 0; at < piece.length && !this.destroyed; ) {
      const part = piece.subarray(at, at + this.#chunkBytes - this.#filled)
      at += part.length
      // A whole chunk goes to the store from where it lies.
      const isWhole = part.length === this.#chunkBytes
      if (!isWhole) this.#gather(part)
      if (!isWhole && this.#filled < this.#chunkBytes) return
      await this.#put(isWhole ? part : this.#buffer, false)
      if (++sinceTurn % chunksPerTurn === 0) await nextTurn()
    }
  }

  #gather(part: Buffer): void {
    const filled = this.#filled + part.length
    if (filled > this.#buffer.length) {
      const room = Math.min(this.#chunkBytes, Math.max(filled, this.#buffer.length * 2, bufferBytesFirst))
      const larger = Buffer.allocUnsafeSlow(room)
      this.#buffer.copy(larger, 0, 0, this.#filled)
      this.#buffer = larger
    }
    part.copy(this.#buffer, this.#filled)
    this.#filled = filled
  }

  /** Does nothing once the stream is destroyed, which may be while this waits: then nobody would delete it. */
  async #put(chunk: Buffer, isOnly: boolean): Promise<void> {
    const blobs = this.#blobs
    const { whenRoom } = this.#target
    if (this.#draft === undefined) {
      await blobs.ready()
      if (this.destroyed) return
      this.#draft = await whenRoom(() => blobs.begin(this.#target, this))
      // A chunk that comes with the manifest is on disk no sooner than the record: `#finish` waits for both.
      if (!isOnly) await blobs.settled()
    } else {
      const draft = this.#draft
      if (await whenRoom(() => blobs.promise(draft, this.#chunkCount))) await blobs.settled()
    }
    if (this.destroyed) return
    const draft = this.#draft
    // Counted first: a chunk that fails half-way is deleted with the others.
    const number = this.#chunkCount++
    await whenRoom(() => {
      if (!this.destroyed) blobs.putChunk(draft, number, chunk)
    })
    if (this.destroyed) return
    this.#totalBytes += chunk.length
    this.#filled = 0
  }
}

export class BlobReader extends Readable {
  readonly #blobs: Blobs
  readonly #manifest: Manifest
  readonly #onGone: () => Promise<void>
  readonly #release: (() => void) | undefined
  #at: number
  /** Past the last byte. */
  readonly #end: number

  /** `onGone` is called when a chunk is missing, before the stream fails. */
  constructor(
    blobs: Blobs,
    manifest: Manifest,
    range: ByteRange,
    signal: AbortSignal | undefined,
    onGone: () => Promise<void>,
  ) {
    super({ highWaterMark: manifest.chunkBytes, ...(signal === undefined ? {} : { signal }) })
    this.#blobs = blobs
    this.#manifest = manifest
    this.#onGone = onGone
    this.#at = range.start
    this.#end = range.end
    this.#release = blobs.lease(manifest.id, this)
  }

  override _read(): void {
    this.#next().then(
      (bytes) => this.push(bytes),
      (error) => this.destroy(error),
    )
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#release?.()
    done(error)
  }

  /** What is left of one chunk; null at the end. */
  async #next(): Promise<Buffer | null> {
    if (this.#at >= this.#end) return null
    const { id, chunkBytes, totalBytes } = this.#manifest
    const number = Math.floor(this.#at / chunkBytes)
    const chunk = await this.#blobs.chunk(id, number)
    if (chunk === undefined) {
      await this.#onGone()
      const message = `bytes ${this.#at} and on of a blob of ${totalBytes} bytes are gone`
      throw new RamcacheError('ERR_RAMCACHE_UNAVAILABLE', message)
    }
    const expected = this.#manifest.bytesOf(number)
    if (chunk.length !== expected) {
      const message = `chunk ${number} of a blob has ${chunk.length} bytes, not ${expected}`
      throw new RamcacheError('ERR_RAMCACHE_CORRUPT', message)
    }
    const first = number * chunkBytes
    const bytes = chunk.subarray(this.#at - first, this.#end - first)
    this.#at += bytes.length
    return bytes
  }
}

/** A value that is bytes or text already. Throws ERR_RAMCACHE_VALUE for others: they have no bytes of their own. */
export function bytesOfValue(value: unknown, key: Key): Buffer {
  if (typeof value === 'string') return Buffer.from(value)
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  const message = `${show(key)} holds neither a blob nor bytes nor text: read it with get()`
  throw new RamcacheError('ERR_RAMCACHE_VALUE', message)
}

export function streamOf(bytes: Buffer, signal: AbortSignal | undefined): Readable {
  return new Readable({
    ...(signal === undefined ? {} : { signal }),
    read() {
      if (bytes.length > 0) this.push(bytes)
      this.push(null)
    },
  })
}
