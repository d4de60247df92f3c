/** Bytes of a source, taken in the lengths the format asks for; no more is held than what was asked for and one piece. */
import { RamcacheError } from '../base/errors.ts'

/** Any stream or iterable of bytes. */
export type ByteSource = AsyncIterable<Uint8Array> | Iterable<Uint8Array>

export class BytesIn {
  readonly #source: AsyncIterator<Uint8Array> | Iterator<Uint8Array>
  #held: Buffer = Buffer.alloc(0)
  #isEnded = false
  /** Bytes taken so far. */
  offset = 0

  constructor(source: ByteSource) {
    const isAsync = Symbol.asyncIterator in source
    this.#source = isAsync ? source[Symbol.asyncIterator]() : source[Symbol.iterator]()
  }

  /** The next bytes without taking them; fewer only at the end. */
  async peek(length: number): Promise<Buffer> {
    const parts = [this.#held]
    let bytes = this.#held.length
    while (bytes < length && !this.#isEnded) {
      const piece = await this.#pull()
      parts.push(piece)
      bytes += piece.length
    }
    if (parts.length > 1) this.#held = Buffer.concat(parts)
    return this.#held.subarray(0, length)
  }

  /** Exactly so many bytes, or fewer at the end. */
  async take(length: number): Promise<Buffer> {
    const taken = await this.peek(length)
    this.#held = this.#held.subarray(taken.length)
    this.offset += taken.length
    return taken
  }

  /** Up to and with the next line feed, or to the end; `undefined` after it. Fails when it would be longer than `bytesMax`. */
  async takeLine(bytesMax: number): Promise<Buffer | undefined> {
    const parts: Buffer[] = []
    let bytes = 0
    for (;;) {
      if (this.#held.length === 0) {
        if (this.#isEnded) break
        this.#held = await this.#pull()
        continue
      }
      const at = this.#held.indexOf(0x0a)
      const part = this.#held.subarray(0, at < 0 ? this.#held.length : at + 1)
      this.#held = this.#held.subarray(part.length)
      parts.push(part)
      bytes += part.length
      if (bytes > bytesMax) {
        throw new RamcacheError(
          'ERR_RAMCACHE_CORRUPT',
          `a line has more than ${bytesMax} bytes, which is the limit`,
        )
      }
      if (at >= 0) break
    }
    this.offset += bytes
    return bytes === 0 ? undefined : parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)
  }

  /** Lets the source go, when it is not read to its end. */
  async close(): Promise<void> {
    if (!this.#isEnded) await this.#source.return?.()
    this.#isEnded = true
  }

  async #pull(): Promise<Buffer> {
    const { done, value } = await this.#source.next()
    if (done === true) {
      this.#isEnded = true
      return Buffer.alloc(0)
    }
    if (!(value instanceof Uint8Array)) {
      throw new RamcacheError('ERR_RAMCACHE_CONFIG', 'an import reads bytes: its source gave something else')
    }
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  }
}
