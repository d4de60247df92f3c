/**
 * Values to bytes and back. The type number says what the bytes are, so nothing is guessed from content: `'007'` stays
 * a string and a Buffer stays a Buffer. What cannot come back as it went in is refused, with the path to it.
 *
 * Stored: strings (well-formed), numbers (NaN, infinities and -0 too), bigints, booleans, null, Buffers, typed arrays,
 * ArrayBuffers, DataViews, Dates, and arrays, plain objects (with a prototype or without), Maps and Sets of these.
 * Own enumerable properties with string names are what an object consists of; getters are called once. An object that
 * occurs twice comes back as two. Refused: `undefined` anywhere, holes, functions, symbols, cycles, other classes.
 *
 * Objects are packed by msgpackr (`msgpack.ts`), and by V8 when msgpackr would not give them back exactly (`clone.ts`).
 */
import { RamcacheError, show } from '../base/errors.ts'
import {
  bigintFromBytes,
  bigintToBytes,
  byteClassOf,
  bytesOf,
  copyAsClass,
  type FastBuffer,
  fastBuffer,
  ValueType,
} from './bytes.ts'
import { packClone, unpackClone } from './clone.ts'
import { isWellFormed } from './key.ts'
import { packSelfContained, SharedMessages, unpackSelfContained } from './msgpack.ts'
import { blobError, checkSize, valueError } from './refusals.ts'
import { takeSnapshot } from './snapshot.ts'
import { type StructureStore, StructureTable } from './structures.ts'

export interface Encoded {
  /** One of `ValueType`. */
  readonly type: number
  /** Good until the next value is encoded or msgpackr is used in this thread; for a Buffer, the value itself. */
  readonly bytes: Uint8Array
}

/** Encodes and decodes the values of one namespace in one thread. */
export class ValueCodec {
  readonly #shared: SharedMessages
  readonly #mayShare: boolean

  /** Without a store for structures, every message is self-contained. */
  constructor(structures?: StructureStore) {
    this.#shared = new SharedMessages(new StructureTable(structures))
    this.#mayShare = structures !== undefined
  }

  /** Throws ERR_RAMCACHE_VALUE. What the store of structures throws comes through. */
  encode(value: unknown): Encoded {
    return this.#encode(value, this.#mayShare)
  }

  /** The same, without shared structures: for bytes that leave the machine. */
  encodeSelfContained(value: unknown): Encoded {
    return this.#encode(value, false)
  }

  /** The value in `source` from `start` to `end`, sharing no memory with it. Throws ERR_RAMCACHE_CORRUPT. */
  decode(type: number, source: Uint8Array, start: number, end: number): unknown {
    switch (type) {
      case ValueType.sharedObject:
      case ValueType.selfContainedObject:
      case ValueType.clonedObject:
        return this.#decodeObject(type, source, start, end)
      case ValueType.ascii:
        return fastBuffer(source).latin1Slice(start, end)
      case ValueType.utf8:
        return fastBuffer(source).utf8Slice(start, end)
      case ValueType.bytes:
        return copyBuffer(source, start, end)
      default:
        return decodeSmall(type, source, start, end)
    }
  }

  #encode(value: unknown, mayShare: boolean): Encoded {
    switch (typeof value) {
      case 'string':
        return encodeString(value)
      case 'number':
        return encodeNumber(value)
      case 'boolean':
        return { type: ValueType.constant, bytes: constants[value ? 2 : 1] as Uint8Array }
      case 'bigint':
        return { type: ValueType.bigint, bytes: bigintToBytes(value).reverse() }
      case 'object':
        if (value === null) return { type: ValueType.constant, bytes: constants[0] as Uint8Array }
        return encodeBytes(value) ?? this.#encodeObject(value, mayShare)
      case 'undefined':
        throw valueError('value is undefined, which cannot be stored: use null, or delete the key')
      default:
        throw valueError(`value is ${show(value)}, which cannot be stored`)
    }
  }

  #encodeObject(value: object, mayShare: boolean): Encoded {
    const snapshot = takeSnapshot(value)
    if (!snapshot.isPackable) return encoded(ValueType.clonedObject, packClone(snapshot.value, snapshot.bare))
    if (!mayShare || !snapshot.hasRecords) {
      return encoded(ValueType.selfContainedObject, packSelfContained(snapshot.value))
    }
    const { bytes, isShared } = this.#shared.pack(snapshot.value)
    return encoded(isShared ? ValueType.sharedObject : ValueType.selfContainedObject, bytes)
  }

  #decodeObject(type: number, source: Uint8Array, start: number, end: number): unknown {
    if (!(start >= 0 && start < end && end <= source.length)) throw corrupt('it has no bytes')
    const bytes = fastBuffer(source)
    try {
      if (type === ValueType.sharedObject) return this.#shared.unpack(bytes, start, end)
      if (type === ValueType.selfContainedObject) return unpackSelfContained(bytes, start, end)
      return unpackClone(bytes, start, end)
    } catch (error) {
      if (error instanceof RamcacheError) throw error
      throw corrupt(error instanceof Error ? error.message : String(error), error)
    }
  }
}

function encoded(type: number, bytes: Uint8Array): Encoded {
  checkSize(bytes.length)
  return { type, bytes }
}

function corrupt(reason: string, cause?: unknown): RamcacheError {
  return new RamcacheError('ERR_RAMCACHE_CORRUPT', `a stored object cannot be read: ${reason}`, cause)
}

const constants = [0, 1, 2].map((byte) => Uint8Array.of(byte))
const constantValues = [null, false, true]

const scratchBytes = 64 * 1024
const scratch = fastBuffer(Buffer.allocUnsafeSlow(scratchBytes))
const scratchView = new DataView(scratch.buffer)

function encodeString(value: string): Encoded {
  if (!isWellFormed(value)) {
    throw valueError(`value holds half a surrogate pair in ${show(value)}, which has no UTF-8 form`)
  }
  const isSmall = value.length * 3 <= scratchBytes
  const length = isSmall ? scratch.utf8Write(value, 0) : checkSize(Buffer.byteLength(value))
  return {
    type: length === value.length ? ValueType.ascii : ValueType.utf8,
    bytes: isSmall ? scratch.subarray(0, length) : Buffer.from(value),
  }
}

function encodeNumber(value: number): Encoded {
  scratchView.setFloat64(0, value, true)
  return { type: ValueType.number, bytes: scratch.subarray(0, 8) }
}

/** Buffers as they are, other bytes behind their class; `undefined` for every other object. */
function encodeBytes(value: object): Encoded | undefined {
  const prototype = Object.getPrototypeOf(value)
  if (prototype === Buffer.prototype && Buffer.isBuffer(value)) {
    checkSize(value.length)
    return { type: ValueType.bytes, bytes: value }
  }
  const code = prototype === null ? undefined : byteClassOf(prototype)
  if (code === undefined || !(ArrayBuffer.isView(value) || value instanceof ArrayBuffer)) return undefined
  const content = bytesOf(value)
  checkSize(content.length + 1)
  const bytes = content.length < scratchBytes ? scratch : Buffer.allocUnsafeSlow(content.length + 1)
  bytes[0] = code
  bytes.set(content, 1)
  return { type: ValueType.typedArray, bytes: bytes.subarray(0, content.length + 1) }
}

function copyBuffer(source: Uint8Array, start: number, end: number): Buffer {
  const copy = Buffer.allocUnsafe(end - start)
  copy.set(source.subarray(start, end))
  return copy
}

function decodeSmall(type: number, source: Uint8Array, start: number, end: number): unknown {
  // Not even a small one as a Buffer: what works in a test would fail with the first large one.
  if (type === ValueType.blob) throw blobError()
  if (type === ValueType.number && end - start === 8) {
    return (fastBuffer(source) as FastBuffer).readDoubleLE(start)
  }
  if (type === ValueType.bigint && end > start) return bigintFromBytes(source.slice(start, end).reverse())
  if (type === ValueType.constant && end - start === 1) {
    const value = constantValues[source[start] as number]
    if (value !== undefined) return value
  }
  if (type === ValueType.typedArray && end > start) {
    const value = copyAsClass(source[start], source, start + 1, end)
    if (value !== undefined) return value
  }
  throw new RamcacheError('ERR_RAMCACHE_CORRUPT', `${end - start} bytes cannot be a value of type ${type}`)
}
