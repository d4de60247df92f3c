/**
 * The message being written: two growing buffers, one for tokens and one for the ASCII strings of the bundle, and the
 * MessagePack tokens of everything that holds no other values. `encoder.ts` says what a message looks like.
 *
 * State is per thread. Every token that fits into `slackBytes` is written without asking for room: whoever writes one
 * calls `reserve` before it, and longer ones make room themselves.
 */
import { bigintToBytes, bytesOf, fastBuffer, valueBytesMax } from './bytes.ts'
import { isWellFormed } from './key.ts'
import { refuseSize } from './refusals.ts'

/** Strings from this length on are written where they stand: cutting them out would keep the whole bundle alive. */
const bundledLengthMax = 4095
/** Longest string that is checked and copied in one loop here; for longer ones the call to the runtime pays. */
const loopLengthMax = 24
const slackBytes = 16
const outputBytesMin = 64 * 1024
/** A larger buffer is given back after the message that needed it. */
const outputBytesKept = 1024 * 1024
/** Token bytes of the bundle's place, reserved at the front of every message. */
const prefixBytes = 6

let output = fastBuffer(Buffer.allocUnsafeSlow(outputBytesMin))
let view = new DataView(output.buffer)
let at = 0
let limit = output.length - slackBytes
let text = fastBuffer(Buffer.allocUnsafeSlow(outputBytesMin))
let textAt = 0
let wide = ''
let hasBundle = false

export function beginMessage(): void {
  if (output.length > outputBytesKept) setOutput(Buffer.allocUnsafeSlow(outputBytesMin))
  if (text.length > outputBytesKept) text = fastBuffer(Buffer.allocUnsafeSlow(outputBytesMin))
  at = prefixBytes
  textAt = 0
  wide = ''
  hasBundle = false
}

/** Puts a half-written message aside; the result brings it back. */
export function suspendMessage(): () => void {
  const saved = { output, at, text, textAt, wide, hasBundle }
  setOutput(Buffer.allocUnsafeSlow(outputBytesMin))
  text = fastBuffer(Buffer.allocUnsafeSlow(outputBytesMin))
  return () => {
    setOutput(saved.output)
    ;({ at, text, textAt, wide, hasBundle } = saved)
  }
}

/** Room for one short token. */
export function reserve(): void {
  if (at > limit) grow(slackBytes)
}

export function writeByte(byte: number): void {
  output[at++] = byte
}

/** False when the string is not well-formed; then nothing was written. */
export function writeString(value: string): boolean {
  const { length } = value
  if (length > bundledLengthMax) {
    return writeLongString(value)
  }
  if (textAt + length * 3 > text.length) growText(length * 3)
  if (length <= loopLengthMax) {
    let index = 0
    for (; index < length; index++) {
      const unit = value.charCodeAt(index)
      if (unit > 0x7f) break
      text[textAt + index] = unit
    }
    if (index === length) {
      textAt += length
      writeCut(length)
      return true
    }
  } else if (text.utf8Write(value, textAt) === length) {
    // As many bytes as characters: all ASCII, and already where it belongs.
    textAt += length
    writeCut(length)
    return true
  }
  if (!isWellFormed(value)) return false
  if (wide.length + length > valueBytesMax) refuseSize()
  wide += value
  writeCut(-length)
  return true
}

/** A string of the bundle: its length, negative when it is cut out of the string that is not ASCII. */
function writeCut(length: number): void {
  hasBundle = true
  output[at++] = 0xc1
  if (length >= 0 && length < 0x40) output[at++] = length
  else writeNumber(length)
}

function writeLongString(value: string): boolean {
  if (!isWellFormed(value)) return false
  // Below this, three bytes per unit are reserved without counting; counting a huge string costs less than growing.
  const bytesMax = value.length < outputBytesKept ? value.length * 3 : Buffer.byteLength(value)
  if (at + bytesMax + 5 > output.length) grow(bytesMax + 5)
  const length = output.utf8Write(value, at + 5)
  output[at] = 0xdb
  view.setUint32(at + 1, length)
  at += 5 + length
  return true
}

export function writeNumber(value: number): void {
  if (value >>> 0 === value && !Object.is(value, -0)) {
    if (value < 0x40) {
      output[at++] = value
    } else if (value < 0x100) {
      output[at++] = 0xcc
      output[at++] = value
    } else if (value < 0x1_0000) {
      output[at++] = 0xcd
      output[at++] = value >> 8
      output[at++] = value
    } else {
      output[at] = 0xce
      view.setUint32(at + 1, value)
      at += 5
    }
  } else if (value >> 0 === value && value !== 0) {
    writeNegative(value)
  } else {
    output[at] = 0xcb
    view.setFloat64(at + 1, value)
    at += 9
  }
}

function writeNegative(value: number): void {
  if (value >= -0x20) {
    output[at++] = value
  } else if (value >= -0x80) {
    output[at++] = 0xd0
    output[at++] = value
  } else if (value >= -0x8000) {
    output[at++] = 0xd1
    output[at++] = value >> 8
    output[at++] = value
  } else {
    output[at] = 0xd2
    view.setInt32(at + 1, value)
    at += 5
  }
}

export function writeBigint(value: bigint): void {
  if (BigInt.asIntN(64, value) === value) {
    output[at] = 0xd3
    view.setBigInt64(at + 1, value)
    at += 9
    return
  }
  const bytes = bigintToBytes(value)
  writeExtensionHeader(bytes.length, 0x42)
  output.set(bytes, at)
  at += bytes.length
}

/** The timestamp extension, in the shortest of its three forms; an invalid date is a form of msgpackr's. */
export function writeDate(ms: number): void {
  const seconds = Math.floor(ms / 1000)
  const nanoseconds = (ms - seconds * 1000) * 1_000_000
  if (Number.isNaN(ms)) {
    writeExtension1(0xff, 0xff)
  } else if (nanoseconds === 0 && seconds >= 0 && seconds <= 0xffff_ffff) {
    output[at++] = 0xd6
    output[at++] = 0xff
    view.setUint32(at, seconds)
    at += 4
  } else if (seconds >= 0 && seconds <= 0xffff_ffff) {
    output[at++] = 0xd7
    output[at++] = 0xff
    view.setUint32(at, nanoseconds * 4)
    view.setUint32(at + 4, seconds)
    at += 8
  } else {
    output[at++] = 0xc7
    output[at++] = 12
    output[at++] = 0xff
    view.setUint32(at, nanoseconds)
    view.setBigInt64(at + 4, BigInt(seconds))
    at += 12
  }
}

export function writeBuffer(value: Buffer): void {
  const { length } = value
  if (length < 0x100) {
    output[at++] = 0xc4
    output[at++] = length
  } else {
    output[at] = 0xc6
    view.setUint32(at + 1, length)
    at += 5
  }
  if (at + length > output.length) grow(length)
  output.set(value, at)
  at += length
}

export function writeTyped(value: ArrayBuffer | ArrayBufferView, code: number): void {
  const bytes = bytesOf(value)
  writeExtensionHeader(bytes.length + 1, 0x74)
  output[at++] = code
  output.set(bytes, at)
  at += bytes.length
}

/** Array and map sizes: up to 15 in the token, else 16 or 32 bits behind it. */
export function writeCount(count: number, small: number, large: number): void {
  if (count < 16) {
    output[at++] = small | count
  } else if (count < 0x1_0000) {
    output[at++] = large
    output[at++] = count >> 8
    output[at++] = count
  } else {
    output[at] = large + 1
    view.setUint32(at + 1, count)
    at += 5
  }
}

export function writeExtension1(type: number, byte: number): void {
  output[at++] = 0xd4
  output[at++] = type
  output[at++] = byte
}

/** Header of an extension, and room for it and its `length` bytes. */
function writeExtensionHeader(length: number, type: number): void {
  if (at + length + slackBytes > output.length) grow(length + slackBytes)
  if (length < 0x100) {
    output[at++] = 0xc7
    output[at++] = length
  } else {
    output[at] = 0xc9
    view.setUint32(at + 1, length)
    at += 5
  }
  output[at++] = type
}

/** Adds the bundle and its place, and hands out the whole message. */
export function endMessage(): Uint8Array {
  if (!hasBundle) return output.subarray(prefixBytes, at)
  const bundleAt = at
  const wideBytes = wide === '' ? 0 : Buffer.byteLength(wide)
  const room = wideBytes + textAt + 2 * slackBytes
  if (at + room > output.length) grow(room)
  writeStringHeader(wideBytes)
  if (wideBytes > 0) at += output.utf8Write(wide, at)
  writeStringHeader(textAt)
  text.copy(output, at, 0, textAt)
  at += textAt
  if (at > valueBytesMax) refuseSize()
  output[0] = 0xd6
  output[1] = 0x62
  // Counted from the place of the number itself, as msgpackr does.
  view.setUint32(2, bundleAt - 2)
  return output.subarray(0, at)
}

function writeStringHeader(length: number): void {
  if (length < 0x20) {
    output[at++] = 0xa0 | length
  } else {
    output[at] = 0xdb
    view.setUint32(at + 1, length)
    at += 5
  }
}

/** Makes room for `bytes` more at the current position, and the usual slack behind them. */
function grow(bytes: number): void {
  const needed = at + bytes + slackBytes
  if (needed > valueBytesMax + 2 * slackBytes) refuseSize()
  const next = fastBuffer(Buffer.allocUnsafeSlow(Math.max(needed, output.length * 2)))
  output.copy(next, 0, 0, at)
  setOutput(next)
}

function setOutput(next: Buffer): void {
  output = fastBuffer(next)
  view = new DataView(output.buffer, output.byteOffset, output.length)
  limit = output.length - slackBytes
}

function growText(bytes: number): void {
  if (textAt + bytes > valueBytesMax) refuseSize()
  const next = fastBuffer(Buffer.allocUnsafeSlow(Math.max(textAt + bytes, text.length * 2)))
  text.copy(next, 0, 0, textAt)
  text = next
}
