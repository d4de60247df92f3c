/**
 * Bytes to objects: the reverse of `encoder.ts`, and any other MessagePack whose maps may become `Map`s.
 *
 * The bytes come out of shared memory or off a disk, so nothing in them is believed: every length is checked against
 * what is left, a number of an unknown structure is an error and not a small integer, and a message must be used up
 * exactly. What is returned shares no memory with the source.
 */
import { RamcacheError } from '../base/errors.ts'
import { cutAscii, cutWide, isUsedUp, openBundle } from './bundle.ts'
import { bigintFromBytes, copyAsClass, fastBuffer } from './bytes.ts'
import { inlineCount } from './encoder.ts'
import { nextAfterInline, readInline } from './inline-shapes.ts'
import { newShape, type Shape, type StructureTable } from './structures.ts'

/** Objects of a shape before its reader is compiled: compiling costs as much as reading a hundred objects. */
const readsBeforeCompiling = 16
/** A source beyond this is not remembered between calls, or it could never be collected. */
const sourceBytesKept = 1024 * 1024
/** Longer arrays grow as they are read, so that a false count cannot claim memory. */
const arrayLengthTrusted = 1024

let source = fastBuffer(Buffer.alloc(0))
let view = new DataView(source.buffer, source.byteOffset, source.length)
let known: Uint8Array | undefined
let at = 0
let end = 0
let shapes: readonly Shape[] = []
let hasInline = false
const inlineShapes: (Shape | undefined)[] = new Array(inlineCount).fill(undefined)

/** Thrown inside this file only. */
class Malformed extends Error {}
class UnknownStructure extends Malformed {}

/** Throws ERR_RAMCACHE_CORRUPT for everything that is no message, and for structures the table does not have. */
export function decodeObject(bytes: Uint8Array, start: number, stop: number, table: StructureTable): unknown {
  // A getter of a value being encoded reads this: numbers that are not stored yet may be somebody else's by now.
  if (table.hasPending) table.rollBack()
  try {
    return decodeOnce(bytes, start, stop, table.shapes)
  } catch (error) {
    if (!(error instanceof UnknownStructure)) throw corrupt(error)
  }
  // Written after our copy of the table was loaded. Loading may use the memory these bytes are in.
  const copy = bytes.slice(start, stop)
  table.refresh()
  try {
    return decodeOnce(copy, 0, copy.length, table.shapes)
  } catch (error) {
    throw corrupt(error)
  }
}

function corrupt(cause: unknown): RamcacheError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new RamcacheError('ERR_RAMCACHE_CORRUPT', `a stored object cannot be read: ${reason}`, cause)
}

function decodeOnce(bytes: Uint8Array, start: number, stop: number, table: readonly Shape[]): unknown {
  if (!(start >= 0 && start < stop && stop <= bytes.length)) throw new Malformed('no bytes')
  if (bytes !== known) {
    known = bytes.length <= sourceBytesKept ? bytes : undefined
    source = fastBuffer(bytes)
    view = new DataView(source.buffer, source.byteOffset, source.length)
  }
  shapes = table
  at = start
  end = stop
  if (hasInline) inlineShapes.fill(undefined)
  hasInline = false
  if (source[start] === 0xd6 && source[start + 1] === 0x62) findBundle(start)
  else openBundle(source, 0, 0, 0, 0)
  const value = read()
  if (at !== end || !isUsedUp()) throw new Malformed('lengths do not add up')
  return value
}

/** Takes the two strings from behind the tokens, and leaves the tokens between `at` and `end`. */
function findBundle(start: number): void {
  const bundleAt = start + 2 + (start + 6 <= end ? view.getUint32(start + 2) : 0)
  if (bundleAt < start + 6 || bundleAt >= end) throw new Malformed('the bundle lies outside')
  at = bundleAt
  const wideFrom = take(readTextLength())
  const wideEnd = at
  const asciiFrom = take(readTextLength())
  if (at !== end) throw new Malformed('the bundle does not end the message')
  openBundle(source, wideFrom, wideEnd, asciiFrom, end)
  at = start + 6
  end = bundleAt
}

function read(): unknown {
  const token = source[at++] as number
  if (token < 0x40) return token
  if (token === 0xc1) return readCut()
  if (token < 0x80) return readRecord(token)
  if (token < 0x90) return readMap(token & 0x0f)
  if (token < 0xa0) return readArray(token & 0x0f)
  if (token < 0xc0) return readText(token & 0x1f)
  if (token >= 0xe0) return token - 0x100
  return token >= 0xcc && token <= 0xd3 ? readNumber(token) : readOther(token)
}

/** A string of the bundle. */
function readCut(): string {
  const first = source[at++] as number
  if (first < 0x40) return cutAscii(first)
  if (first >= 0xe0) return cutWide(0x100 - first)
  const length = readNumber(first) as number
  return length < 0 ? cutWide(-length) : cutAscii(length)
}

function readRecord(token: number): object {
  let number = token - 0x40
  if (number < inlineCount) {
    const inline = inlineShapes[number]
    if (inline === undefined) throw new Malformed('an inline structure was not defined')
    return readShape(inline)
  }
  if (number >= 32) number += (source[at++] as number) << 5
  const shape = shapes[number - inlineCount]
  if (shape === undefined) throw new UnknownStructure(`structure ${number - inlineCount} is not in the table`)
  return readShape(shape)
}

function readShape(shape: Shape): object {
  return shape.read === undefined ? prepare(shape)() : shape.read()
}

/** The reader of a shape: a loop at first; after some objects a function that is one object literal. */
function prepare(shape: Shape): () => object {
  const { keys } = shape
  let reads = 0
  shape.read = () => {
    if (++reads === readsBeforeCompiling) shape.read = compile(keys)
    return readFields(keys)
  }
  return shape.read
}

function compile(keys: readonly string[]): () => object {
  // In brackets where `__proto__: x` would set the prototype; brackets everywhere would be slow.
  const fields = keys.map((key) => (key === '__proto__' ? '["__proto__"]' : JSON.stringify(key)))
  try {
    return new Function('read', `return () => ({${fields.map((field) => `${field}:read()`).join(',')}})`)(
      read,
    )
  } catch {
    // Making code from strings can be forbidden (--disallow-code-generation-from-strings).
    return () => readFields(keys)
  }
}

function readFields(keys: readonly string[]): object {
  const object: Record<string, unknown> = {}
  for (const key of keys) {
    if (key === '__proto__') {
      Object.defineProperty(object, key, {
        value: read(),
        enumerable: true,
        configurable: true,
        writable: true,
      })
    } else {
      object[key] = read()
    }
  }
  return object
}

function defineInline(number: number): object {
  if (number < 0 || number >= inlineCount)
    throw new Malformed('an inline structure has a number of the table')
  let shape = readInline(source, at, end)
  if (shape === undefined) {
    const keys = read()
    if (!Array.isArray(keys) || !keys.every((key) => typeof key === 'string')) {
      throw new Malformed('a structure is a list of names')
    }
    shape = newShape(keys, 0)
  } else {
    at = nextAfterInline()
  }
  inlineShapes[number] = shape
  hasInline = true
  return readShape(shape)
}

function readArray(length: number): unknown[] {
  if (length > end - at) throw new Malformed('an array is cut off')
  if (length > arrayLengthTrusted) {
    const grown: unknown[] = []
    for (let index = 0; index < length; index++) grown.push(read())
    return grown
  }
  const array = new Array(length)
  for (let index = 0; index < length; index++) array[index] = read()
  return array
}

function readMap(size: number): Map<unknown, unknown> {
  if (size * 2 > end - at) throw new Malformed('a map is cut off')
  const map = new Map<unknown, unknown>()
  for (let index = 0; index < size; index++) {
    const key = read()
    map.set(key, read())
  }
  return map
}

function readNumber(token: number): number | bigint {
  const from = at
  switch (token) {
    case 0xcc:
      at += 1
      return view.getUint8(from)
    case 0xcd:
      at += 2
      return view.getUint16(from)
    case 0xce:
      at += 4
      return view.getUint32(from)
    case 0xcf:
      at += 8
      return view.getBigUint64(from)
    case 0xd0:
      at += 1
      return view.getInt8(from)
    case 0xd1:
      at += 2
      return view.getInt16(from)
    case 0xd2:
      at += 4
      return view.getInt32(from)
    case 0xd3:
      at += 8
      return view.getBigInt64(from)
    default:
      throw new Malformed(`no number begins with ${token}`)
  }
}

/** What is rare, or long enough not to mind one more branch. */
function readOther(token: number): unknown {
  const from = at
  switch (token) {
    case 0xc0:
      return null
    case 0xc2:
      return false
    case 0xc3:
      return true
    case 0xca:
      at += 4
      return view.getFloat32(from)
    case 0xcb:
      at += 8
      return view.getFloat64(from)
    case 0xc4:
    case 0xc5:
    case 0xc6:
      return readBytes(readLength(token - 0xc4))
    case 0xc7:
    case 0xc8:
    case 0xc9:
      return readExtension(readLength(token - 0xc7))
    case 0xd4:
      return readExtension1()
    case 0xd6:
      return readExtension(4)
    case 0xd7:
      return readExtension(8)
    case 0xd9:
    case 0xda:
    case 0xdb:
      return readText(readLength(token - 0xd9))
    case 0xdc:
    case 0xdd:
      return readArray(readLength(token - 0xdb))
    case 0xde:
    case 0xdf:
      return readMap(readLength(token - 0xdd))
    default:
      throw new Malformed(token === undefined ? 'it is cut off' : `no value begins with ${token}`)
  }
}

/** A length of 1, 2 or 4 bytes, for `scale` 0, 1 and 2. */
function readLength(scale: number): number {
  const from = at
  at += 1 << scale
  if (scale === 0) return view.getUint8(from)
  return scale === 1 ? view.getUint16(from) : view.getUint32(from)
}

function readTextLength(): number {
  const token = source[at++] as number
  if (token >= 0xa0 && token < 0xc0) return token & 0x1f
  if (token >= 0xd9 && token <= 0xdb) return readLength(token - 0xd9)
  throw new Malformed('the bundle holds something else than strings')
}

function readText(length: number): string {
  const from = take(length)
  return source.utf8Slice(from, at)
}

function readBytes(length: number): Buffer {
  const from = take(length)
  const copy = Buffer.allocUnsafe(length)
  source.copy(copy, 0, from, at)
  return copy
}

/** Moves on by `length` bytes and returns where they begin. */
function take(length: number): number {
  if (length > end - at) throw new Malformed('it is cut off')
  const from = at
  at += length
  return from
}

/** One byte of data; for some types it means nothing and the value follows. */
function readExtension1(): unknown {
  const type = source[at++]
  const byte = source[at++] as number
  switch (type) {
    case 0x72:
      return defineInline(byte - 0x40)
    case 0x73:
      return new Set(expectArray(read()))
    case 0x4e:
      return withoutPrototype(read())
    case 0xff:
      return new Date(Number.NaN)
    default:
      throw new Malformed(`unknown extension ${type}`)
  }
}

function expectArray(value: unknown): unknown[] {
  if (!Array.isArray(value)) throw new Malformed('a set is no array')
  return value
}

function withoutPrototype(value: unknown): object {
  if (typeof value !== 'object' || value === null)
    throw new Malformed('an object without prototype is no object')
  return Object.setPrototypeOf(value, null)
}

function readExtension(length: number): unknown {
  const type = source[at++]
  const from = take(length)
  switch (type) {
    case 0xff:
      return readDate(from, length)
    case 0x42:
      if (length === 0) throw new Malformed('a bigint has no bytes')
      return bigintFromBytes(source.subarray(from, at))
    case 0x74: {
      const copy = length === 0 ? undefined : copyAsClass(source[from], source, from + 1, at)
      if (copy === undefined) throw new Malformed('a typed array has an unknown class or half an element')
      return copy
    }
    default:
      throw new Malformed(`unknown extension ${type}`)
  }
}

function readDate(from: number, length: number): Date {
  if (length === 4) return new Date(view.getUint32(from) * 1000)
  if (length === 12) return dateOf(Number(view.getBigInt64(from + 4)), view.getUint32(from))
  if (length !== 8) throw new Malformed('a date has 4, 8 or 12 bytes')
  const high = view.getUint32(from)
  return dateOf((high & 3) * 0x1_0000_0000 + view.getUint32(from + 4), high >>> 2)
}

function dateOf(seconds: number, nanoseconds: number): Date {
  return new Date(seconds * 1000 + Math.floor(nanoseconds / 1_000_000))
}
