/**
 * Replies of the owner (RESP2) out of a stream of bytes that is cut anywhere. What comes is hostile: no length is
 * believed beyond its limit, and memory is only taken for bytes that have come.
 */
import { RamcacheError } from '../base/errors.ts'

/** An error the other side has answered with, as it was sent. */
export class ErrorReply {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

/** What the owner says without having been asked, between replies. */
export class Push {
  readonly items: readonly Reply[]

  constructor(items: readonly Reply[]) {
    this.items = items
  }
}

/** Bulk strings are views of what came in; simple strings are text. */
export type Reply = Buffer | string | number | null | ErrorReply | Push | Reply[]

/** The longest value, and some more for what is not a value: statistics of thousands of namespaces. */
const bulkBytesMax = 128 * 1024 * 1024
/** The longest answer is a list of as many keys as are asked for at a time; a page of a scan is shorter. */
const itemsMax = 1024 * 1024
/** Answers are lists of lists with a list of tags in them. */
const depthMax = 8
/** An error message, and a number, are shorter. */
const lineBytesMax = 64 * 1024

const cr = 13
const lf = 10
const zero = 48
const noBytes = Buffer.alloc(0)

interface Open {
  readonly items: Reply[]
  left: number
  readonly isPush: boolean
}

export class ReplyParser {
  /** Bytes that have come and were not understood yet: the beginning of one line or one bulk string. */
  #waiting: Buffer[] = []
  #waitingBytes = 0
  /** There is nothing new to be understood below this. */
  #wantedBytes = 1
  /** Lists whose end has not come yet, the outermost first. */
  readonly #open: Open[] = []

  /** What is complete with these bytes. Throws ERR_RAMCACHE_CORRUPT for what is no reply: nothing after it can be read. */
  push(bytes: Buffer): Reply[] {
    this.#waiting.push(bytes)
    this.#waitingBytes += bytes.length
    if (this.#waitingBytes < this.#wantedBytes) return []
    const [first] = this.#waiting
    const source = this.#waiting.length === 1 ? (first as Buffer) : Buffer.concat(this.#waiting)
    const replies: Reply[] = []
    let at = 0
    for (;;) {
      const next = this.#element(source, at, replies)
      if (next < 0) break
      at = next
    }
    const rest = at === source.length ? noBytes : source.subarray(at)
    this.#waiting = rest.length === 0 ? [] : [rest]
    this.#waitingBytes = rest.length
    return replies
  }

  /** Takes the line or bulk string at a place; where the next one begins, or -1 when this one has not come whole. */
  #element(source: Buffer, at: number, replies: Reply[]): number {
    this.#wantedBytes = source.length - at + 1
    if (at === source.length) return -1
    const short = this.#shortBulk(source, at, replies)
    if (short > 0) return short
    const end = source.indexOf(lf, at)
    if (end < 0) {
      if (source.length - at > lineBytesMax) throw corrupt(`a line of more than ${lineBytesMax} bytes`)
      return -1
    }
    if (source[end - 1] !== cr) throw corrupt('a line without its end')
    const text = source.toString('latin1', at + 1, end - 1)
    const next = end + 1
    switch (source[at]) {
      case 0x24: // $
        return this.#bulk(source, at, next, text, replies)
      case 0x2a: // *
        this.#list(text, replies, false)
        return next
      case 0x3e: // >
        if (this.#open.length > 0) throw corrupt('a push in the middle of a reply')
        this.#list(text, replies, true)
        return next
      case 0x3a: // :
        this.#take(wholeNumber(text), replies)
        return next
      case 0x2b: // +
        this.#take(text, replies)
        return next
      case 0x2d: // -
        this.#take(new ErrorReply(source.toString('utf8', at + 1, end - 1)), replies)
        return next
      default:
        throw corrupt(`a reply that begins with the byte ${source[at]}`)
    }
  }

  /** Most replies: a whole string of ten to 99 bytes, without a call into native code. 0 when it is something else. */
  #shortBulk(source: Buffer, at: number, replies: Reply[]): number {
    if (source[at] !== 0x24 || source[at + 3] !== cr || source[at + 4] !== lf) return 0
    const [tens, ones] = [(source[at + 1] as number) - zero, (source[at + 2] as number) - zero]
    const end = at + 5 + tens * 10 + ones
    const isTwoDigits = tens >= 1 && tens <= 9 && ones >= 0 && ones <= 9
    if (!isTwoDigits || source[end] !== cr || source[end + 1] !== lf) return 0
    this.#take(source.subarray(at + 5, end), replies)
    return end + 2
  }

  #bulk(source: Buffer, at: number, from: number, text: string, replies: Reply[]): number {
    const length = wholeNumber(text)
    if (length === -1) {
      this.#take(null, replies)
      return from
    }
    if (length < 0 || length > bulkBytesMax) throw corrupt(`a string of ${text} bytes`)
    const end = from + length
    if (source.length < end + 2) {
      this.#wantedBytes = end + 2 - at
      return -1
    }
    if (source[end] !== cr || source[end + 1] !== lf) throw corrupt('a string that is longer than it says')
    this.#take(source.subarray(from, end), replies)
    return end + 2
  }

  #list(text: string, replies: Reply[], isPush: boolean): void {
    const count = wholeNumber(text)
    if (count === -1) {
      this.#take(null, replies)
      return
    }
    if (count < 0 || count > itemsMax) throw corrupt(`a list of ${text} items`)
    if (count === 0) {
      this.#take(isPush ? new Push([]) : [], replies)
      return
    }
    if (this.#open.length === depthMax) throw corrupt(`lists in lists, more than ${depthMax} deep`)
    this.#open.push({ items: [], left: count, isPush })
  }

  /** Puts a whole reply where it belongs, and each list that is whole with it. */
  #take(reply: Reply, replies: Reply[]): void {
    let whole = reply
    for (;;) {
      const list = this.#open.at(-1)
      if (list === undefined) {
        replies.push(whole)
        return
      }
      list.items.push(whole)
      list.left--
      if (list.left > 0) return
      this.#open.pop()
      whole = list.isPush ? new Push(list.items) : list.items
    }
  }
}

function wholeNumber(text: string): number {
  const number = /^-?\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(number)) throw corrupt(`${JSON.stringify(text.slice(0, 40))} for a number`)
  return number
}

function corrupt(what: string): RamcacheError {
  return new RamcacheError('ERR_RAMCACHE_CORRUPT', `the owner of the store sent ${what}`)
}
