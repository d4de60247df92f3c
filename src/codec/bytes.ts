/**
 * What a value looks like in bytes: its type numbers, the classes of typed arrays, bigints, and the Buffer methods the
 * hot paths use. The numbers are written into records, so they never change their meaning.
 */

/** Four bits in the record header. 0 is "none", 12 to 15 are reserved. */
export const ValueType = {
  /** One byte per character, all below 0x80. */
  ascii: 1,
  utf8: 2,
  /** IEEE 754 double, little-endian, 8 bytes. */
  number: 3,
  /** Two's complement, little-endian, as few bytes as hold it, at least one. */
  bigint: 4,
  /** One byte: 0 null, 1 false, 2 true. */
  constant: 5,
  /** A Buffer. */
  bytes: 6,
  /** A typed array, ArrayBuffer or DataView: its class (see `byteClasses`), then its bytes. */
  typedArray: 7,
  /** MessagePack with shared structures: readable only with the table of its namespace. */
  sharedObject: 8,
  /** MessagePack that needs nothing else to be read. */
  selfContainedObject: 9,
  /** V8's structured clone: what MessagePack would change. */
  clonedObject: 10,
  /** The manifest of a blob (`blob.ts`); its bytes lie elsewhere. */
  blob: 11,
} as const

/** Largest encoded value, as in the store: one value must not hold up readers and writers of everything else. */
export const valueBytesMax = 64 * 1024 * 1024

/** Deepest nesting of a value: both directions recurse, and the caller's stack may already be half used. */
export const depthMax = 512

/** Objects with more fields than this are dictionaries: their names are data, and never shared. */
export const recordFieldsMax = 64

interface ByteClass {
  readonly elementBytes: number
  readonly prototype: object
  from(buffer: ArrayBuffer): ArrayBuffer | ArrayBufferView
}

const viewClasses = [
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
]

/** By class code; those msgpackr uses for the same inside objects. */
export const byteClasses: ReadonlyMap<number, ByteClass> = new Map<number, ByteClass>([
  ...viewClasses.map((Class, code): [number, ByteClass] => [
    code,
    {
      elementBytes: Class.BYTES_PER_ELEMENT,
      prototype: Class.prototype,
      from: (buffer) => new Class(buffer),
    },
  ]),
  [16, { elementBytes: 1, prototype: ArrayBuffer.prototype, from: (buffer) => buffer }],
  [17, { elementBytes: 1, prototype: DataView.prototype, from: (buffer) => new DataView(buffer) }],
])

const codeByPrototype = new Map([...byteClasses].map(([code, { prototype }]) => [prototype, code]))

/** The class code of a typed array, ArrayBuffer or DataView itself; `undefined` for everything else, subclasses too. */
export function byteClassOf(prototype: object): number | undefined {
  return codeByPrototype.get(prototype)
}

/** The bytes of what `byteClassOf` knows, without copying them. */
export function bytesOf(value: ArrayBuffer | ArrayBufferView): Uint8Array {
  return ArrayBuffer.isView(value)
    ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
    : new Uint8Array(value)
}

/** A copy with memory of its own, as the class it was; `undefined` when the bytes cannot be of that class. */
export function copyAsClass(
  code: number | undefined,
  source: Uint8Array,
  start: number,
  end: number,
): ArrayBuffer | ArrayBufferView | undefined {
  const byteClass = code === undefined ? undefined : byteClasses.get(code)
  if (byteClass === undefined || end < start || (end - start) % byteClass.elementBytes !== 0) return undefined
  const copy = new ArrayBuffer(end - start)
  new Uint8Array(copy).set(source.subarray(start, end))
  return byteClass.from(copy)
}

/** Buffer's own methods behind `toString` and `write`: the same work without their checks of arguments. */
export interface FastBuffer extends Buffer {
  latin1Slice(start: number, end: number): string
  utf8Slice(start: number, end: number): string
  utf8Write(text: string, offset: number): number
}

export function fastBuffer(bytes: Uint8Array): FastBuffer {
  return (
    Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  ) as FastBuffer
}

/** Two's complement, big-endian, as few bytes as hold the number, at least one. */
export function bigintToBytes(value: bigint): Uint8Array {
  // ~n of a negative number has the same length, so both signs need one sign bit above the digits of this.
  const digits = (value < 0n ? ~value : value).toString(16)
  const bitCount = digits.length * 4 - (Math.clz32(Number.parseInt(digits[0] as string, 16)) - 28)
  const byteCount = Math.floor(bitCount / 8) + 1
  const bits = BigInt.asUintN(byteCount * 8, value)
  return Buffer.from(bits.toString(16).padStart(byteCount * 2, '0'), 'hex')
}

/** The reverse; `bytes` must not be empty. */
export function bigintFromBytes(bytes: Uint8Array): bigint {
  const digits = fastBuffer(bytes).toString('hex')
  return BigInt.asIntN(bytes.length * 8, BigInt(`0x${digits}`))
}
