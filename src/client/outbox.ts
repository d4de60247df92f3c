/**
 * Commands as bytes of the protocol, one behind the other in blocks of memory: what is sent together is written
 * together, and no command has memory of its own. A block is never written a second time; it lasts until nothing of it
 * may have to be sent again.
 */
export type Argument = string | number | Uint8Array

/** Bytes of some commands on their way. */
export interface Piece {
  readonly block: Buffer
  readonly start: number
  readonly end: number
}

const blockBytes = 64 * 1024
/** What would take more than this share of a block gets one of its own. */
const sharedBytesMax = blockBytes / 4
/** A string of up to so many characters is written faster here than by a call into native code. */
const shortText = 64
/** The same of bytes. */
const shortBytes = 32
/** The most that a length with the marks around it takes. */
const headBytes = 20

const cr = 13
const lf = 10
const dollar = 36
const star = 42
const zero = 48

export class Outbox {
  #block: Buffer = Buffer.allocUnsafeSlow(blockBytes)
  #at = 0

  /** Writes a command: a list of bulk strings. Arguments are taken over at once. */
  add(name: string, args: readonly Argument[]): Piece {
    const most = bytesMost(args) + headBytes + name.length
    if (most > sharedBytesMax) {
      const block = Buffer.allocUnsafeSlow(most)
      return { block, start: 0, end: putCommand(block, 0, name, args) }
    }
    if (this.#at + most > blockBytes) {
      this.#block = Buffer.allocUnsafeSlow(blockBytes)
      this.#at = 0
    }
    const start = this.#at
    this.#at = putCommand(this.#block, start, name, args)
    return { block: this.#block, start, end: this.#at }
  }
}

/** An upper bound of what the command takes. */
function bytesMost(args: readonly Argument[]): number {
  let bytes = headBytes
  for (const argument of args) {
    bytes += headBytes
    if (typeof argument === 'number') bytes += headBytes + 4
    else if (typeof argument !== 'string') bytes += argument.length
    else bytes += argument.length <= shortText ? argument.length * 3 : Buffer.byteLength(argument)
  }
  return bytes
}

function putCommand(block: Buffer, start: number, name: string, args: readonly Argument[]): number {
  let at = putEnd(block, putText(block, putLength(block, start, star, args.length + 1), name))
  for (const argument of args) {
    at = argument instanceof Uint8Array ? putBytes(block, at, argument) : putText(block, at, `${argument}`)
    at = putEnd(block, at)
  }
  return at
}

function putEnd(block: Buffer, at: number): number {
  block[at] = cr
  block[at + 1] = lf
  return at + 2
}

function putLength(block: Buffer, start: number, mark: number, length: number): number {
  let at = start
  block[at++] = mark
  let power = 1
  while (power * 10 <= length) power *= 10
  for (let rest = length; power >= 1; power /= 10) {
    const digit = Math.floor(rest / power)
    block[at++] = zero + digit
    rest -= digit * power
  }
  return putEnd(block, at)
}

function putBytes(block: Buffer, start: number, bytes: Uint8Array): number {
  const { length } = bytes
  const at = putLength(block, start, dollar, length)
  if (length > shortBytes) block.set(bytes, at)
  else for (let index = 0; index < length; index++) block[at + index] = bytes[index] as number
  return at + length
}

function putText(block: Buffer, start: number, text: string): number {
  const { length } = text
  if (length <= shortText) {
    const at = putLength(block, start, dollar, length)
    let index = 0
    for (; index < length; index++) {
      const unit = text.charCodeAt(index)
      if (unit > 0x7f) break
      block[at + index] = unit
    }
    if (index === length) return at + length
  }
  const bytes = Buffer.byteLength(text)
  const at = putLength(block, start, dollar, bytes)
  return at + block.write(text, at)
}
