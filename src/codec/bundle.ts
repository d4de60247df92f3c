/**
 * The strings of a message being read, which stand together behind its tokens (see `encoder.ts`) and are cut off the
 * front one by one.
 *
 * V8 keeps the whole of a string alive for as long as any longer piece of it lives. So the bundle is not made into one
 * string but into windows of some KiB: whoever keeps one name of a list of thousands keeps one window.
 */
import type { FastBuffer } from './bytes.ts'

/** Small enough to be kept by mistake, large enough that making it is cheap per string. */
const windowBytes = 8 * 1024

let source: FastBuffer
let ascii = ''
let asciiAt = 0
/** Bytes that are not in the window yet. */
let asciiFrom = 0
let asciiEnd = 0
let wide = ''
let wideAt = 0
let wideFrom = 0
let wideEnd = 0

/** Where the two strings lie in `bytes`: first what is not ASCII, then ASCII. Empty places for a message without. */
export function openBundle(
  bytes: FastBuffer,
  wideStart: number,
  wideStop: number,
  asciiStart: number,
  asciiStop: number,
): void {
  source = bytes
  ascii = ''
  asciiAt = 0
  asciiFrom = asciiStart
  asciiEnd = asciiStop
  wide = ''
  wideAt = 0
  wideFrom = wideStart
  wideEnd = wideStop
}

/** Whether every character was cut off. */
export function isUsedUp(): boolean {
  return asciiFrom === asciiEnd && asciiAt === ascii.length && wideFrom === wideEnd && wideAt === wide.length
}

/** The next `length` characters of the ASCII part; fewer when there are no more. */
export function cutAscii(length: number): string {
  if (asciiAt + length > ascii.length) moveAscii(length)
  const from = asciiAt
  asciiAt += length
  return ascii.slice(from, asciiAt)
}

/** The next `length` UTF-16 units of the other part; fewer when there are no more. */
export function cutWide(length: number): string {
  if (wideAt + length > wide.length) moveWide(length)
  const from = wideAt
  wideAt += length
  return wide.slice(from, wideAt)
}

function moveAscii(length: number): void {
  const rest = ascii.slice(asciiAt)
  const to = Math.min(asciiEnd, asciiFrom + Math.max(windowBytes, length))
  ascii = rest + source.latin1Slice(asciiFrom, to)
  asciiAt = 0
  asciiFrom = to
}

function moveWide(length: number): void {
  wide = wide.slice(wideAt)
  wideAt = 0
  while (wide.length < length && wideFrom < wideEnd) {
    let to = Math.min(wideEnd, wideFrom + windowBytes)
    // Not in the middle of a character; damaged text may have no other place.
    if (to < wideEnd) {
      let before = to
      while (before > to - 4 && ((source[before] as number) & 0xc0) === 0x80) before--
      to = before
    }
    wide += source.utf8Slice(wideFrom, to)
    wideFrom = to
  }
}
