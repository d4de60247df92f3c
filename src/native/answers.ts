/**
 * Answers to cold reads as they come out of the native part, back to back, little-endian:
 *
 * ```text
 *  0  u64  number of the question
 *  8  u8   kind
 *  9  u8   type of the value
 * 10  u8   tier it was found in, 1 SSD, 2 HDD
 * 11  u8   0
 * 12  u32  bytes of the value; of the error's message
 * 16  u64  clock word of the version
 * 24  u64  origin of the version
 * 32  u64  expires at, ms since 1970, 0 = never
 * 40  u64  bytes of key and value
 * 48  u32  bytes of the tags; of the error's code, when it failed
 * 52  u32  idle time in ms, 0 without one
 * 56  u64  the end of an entry that slides, ms since 1970, 0 = never
 * 64       value or message, then tags or code
 * ```
 */
import { RamcacheError } from '../base/errors.ts'

/** What an answer is for; the same numbers stand in `native/node/src/answers.rs`. */
export const Purpose = { read: 0, resolve: 1, look: 2 } as const

/** Kinds of an answer. */
export const Answer = { absent: 0, found: 1, askAgain: 2, failed: 3, reached: 4 } as const

const headBytes = 64
const tierSsd = 1
const clockCounterBits = 16n

/** One answer; it holds only until whoever it is for returns. */
export class NativeAnswer {
  readonly id: number
  readonly kind: number
  readonly valueType: number
  readonly value: Buffer
  /** Where the next answer begins. */
  readonly next: number
  readonly #bytes: Buffer
  readonly #at: number

  constructor(bytes: Buffer, at: number) {
    const valueAt = at + headBytes
    const tagsAt = valueAt + bytes.readUInt32LE(at + 12)
    this.id = bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 2 ** 32
    this.kind = bytes[at + 8] as number
    this.valueType = bytes[at + 9] as number
    this.value = bytes.subarray(valueAt, tagsAt)
    this.next = tagsAt + bytes.readUInt32LE(at + 48)
    this.#bytes = bytes
    this.#at = at
  }

  /** Where it was found. */
  get tier(): 'ssd' | 'hdd' {
    return this.#bytes[this.#at + 10] === tierSsd ? 'ssd' : 'hdd'
  }

  get version(): string {
    return `${this.#u64(16).toString(16).padStart(16, '0')}-${this.#u64(24).toString(16).padStart(16, '0')}`
  }

  get createdAt(): number {
    return Number(this.#u64(16) >> clockCounterBits)
  }

  get expiresAt(): number {
    return Number(this.#u64(32))
  }

  get size(): number {
    return Number(this.#u64(40))
  }

  get idleMs(): number {
    return this.#bytes.readUInt32LE(this.#at + 52)
  }

  get deadline(): number {
    return Number(this.#u64(56))
  }

  get tags(): Buffer {
    return this.#bytes.subarray(this.next - this.#bytes.readUInt32LE(this.#at + 48), this.next)
  }

  /** Why it failed. */
  get error(): RamcacheError {
    return new RamcacheError(this.tags.toString('latin1') as RamcacheError['code'], this.value.toString())
  }

  #u64(offset: number): bigint {
    return this.#bytes.readBigUInt64LE(this.#at + offset)
  }
}
