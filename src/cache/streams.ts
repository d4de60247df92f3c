/**
 * The two streams of a blob. Neither holds more than a chunk and what Node's own buffer holds, whatever the length.
 *
 * A writer is seen by nobody until it has finished. A reader gives exactly the bytes it was asked for, or fails.
 */
import { Readable, Writable } from 'node:stream'
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
    this.#take(piece, 0, done)
  }

  override _final(done: (error?: Error | null) => void): void {
    try {
      if (this.#filled > 0) this.#put(this.#buffer.subarray(0, this.#filled))
      if (this.#draft === undefined) this.#blobs.publishEmpty(this.#target, this.#chunkBytes)
      else this.#blobs.publish(this.#draft, this.#totalBytes, this.#chunkBytes)
      this.#isPublished = true
    } catch (error) {
      done(error as Error)
      return
    }
    const settling = this.#target.settle()
    if (settling === undefined) done()
    else settling.then(() => done(), done)
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

  #take(piece: Buffer, from: number, done: (error?: Error | null) => void): void {
    let at = from
    try {
      const before = this.#chunkCount
      while (at < piece.length && this.#chunkCount - before < chunksPerTurn) {
        const room = this.#chunkBytes - this.#filled
        const part = piece.subarray(at, at + room)
        // A whole chunk goes to the store from where it lies.
        if (part.length === this.#chunkBytes) this.#put(part)
        else this.#gather(part)
        at += part.length
      }
    } catch (error) {
      done(error as Error)
      return
    }
    if (at === piece.length) done()
    else setImmediate(() => (this.destroyed ? done() : this.#take(piece, at, done)))
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
    if (filled === this.#chunkBytes) this.#put(this.#buffer)
  }

  #put(chunk: Buffer): void {
    this.#draft ??= this.#blobs.begin(this.#target, this)
    // Counted first: a chunk that fails half-way is deleted with the others.
    const number = this.#chunkCount++
    this.#blobs.putChunk(this.#draft, number, chunk)
    this.#totalBytes += chunk.length
    this.#filled = 0
  }
}

export class BlobReader extends Readable {
  readonly #blobs: Blobs
  readonly #manifest: Manifest
  readonly #onGone: () => void
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
    onGone: () => void,
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
      this.#onGone()
      const message = `bytes ${this.#at} and on of a blob of ${totalBytes} bytes are gone: they were evicted`
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
