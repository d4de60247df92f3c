/**
 * Objects to bytes, in one pass that checks and writes together: what is refused is refused with the path to it, and
 * what a getter returns is looked at once.
 *
 * The bytes are MessagePack as msgpackr writes it, with its extensions, so any decoder that knows those reads them:
 * - All short strings stand together in two strings behind the tokens ("bundle": first what is not ASCII, then ASCII)
 *   and are cut out of them by length. Decoding makes two strings instead of dozens.
 * - An object is a record: the number of a structure, then the values. Numbers 16 and up are those of the namespace's
 *   table; 0 to 15 are defined inside the message (extension `r`), round and round when there are more.
 * - Extension `N` marks an object without prototype (ours; everything else is msgpackr's).
 *
 * State is per thread, not per codec: the bytes of a message are good until the next one is encoded.
 */
import { types } from 'node:util'
import { RamcacheError } from '../base/errors.ts'
import { byteClassOf, depthMax } from './bytes.ts'
import { isWellFormed } from './key.ts'
import {
  mapStep,
  path,
  refuse,
  refuseChanged,
  refuseCycle,
  refuseDepth,
  refuseSurrogate,
  valueError,
} from './refusals.ts'
import { type Shape, type StructureTable, structureFieldsMax } from './structures.ts'
import {
  beginMessage,
  endMessage,
  reserve,
  suspendMessage,
  writeBigint,
  writeBuffer,
  writeByte,
  writeCount,
  writeDate,
  writeExtension1,
  writeNumber,
  writeString,
  writeTyped,
} from './tokens.ts'

/** Structures defined inside a message; those of the table come behind them. */
export const inlineCount = 16
/** Each lost race means that another writer succeeded; this many in a row mean that something is wrong. */
const commitAttemptsMax = 64

let isBusy = false
let table: StructureTable
let isSharing = false
let hasShared = false
let message = 0
let inlineNext = 0
const inlineOwners: (Shape | undefined)[] = new Array(inlineCount).fill(undefined)

/** Only while a value that is too deep is encoded again, to tell a cycle from honest depth. */
let ancestors: object[] | undefined

export interface Message {
  readonly bytes: Uint8Array
  /** Whether the table of the namespace is needed to read it. */
  readonly isShared: boolean
}

/** Throws ERR_RAMCACHE_VALUE; otherwise every structure the message uses has been stored. */
export function encodeObject(value: object, structures: StructureTable, mayShare: boolean): Message {
  const restore = isBusy ? suspend() : undefined
  isBusy = true
  try {
    structures.open()
    for (let attempt = 0; attempt < commitAttemptsMax; attempt++) {
      const generation = structures.generation
      encodeOnce(value, structures, mayShare)
      if (structures.generation !== generation) continue
      if (structures.hasPending && !structures.commit()) continue
      return { bytes: endMessage(), isShared: hasShared }
    }
    encodeOnce(value, structures, false)
    return { bytes: endMessage(), isShared: false }
  } catch (error) {
    structures.rollBack()
    if (error instanceof RamcacheError) throw error
    throw valueError(
      `the value cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      error,
    )
  } finally {
    isBusy = false
    ancestors = undefined
    restore?.()
  }
}

function encodeOnce(value: object, structures: StructureTable, mayShare: boolean): void {
  try {
    start(structures, mayShare)
    writeValue(value, 0)
  } catch (error) {
    if (!(error instanceof TooDeep)) throw error
    ancestors = []
    start(structures, mayShare)
    writeValue(value, 0)
  }
}

function start(structures: StructureTable, mayShare: boolean): void {
  beginMessage()
  table = structures
  isSharing = mayShare
  hasShared = false
  inlineNext = 0
  message++
}

/** A getter may encode another value while this one is half written: that one gets buffers of its own. */
function suspend(): () => void {
  const saved = { table, isSharing, hasShared, inlineNext, ancestors }
  const steps = [...path]
  const resume = suspendMessage()
  ancestors = undefined
  return () => {
    resume()
    ;({ table, isSharing, hasShared, inlineNext, ancestors } = saved)
    path.splice(0, path.length, ...steps)
    isBusy = true
    // The inner message took the inline marks: the rest of this one is as a new message, and defines them again.
    message++
  }
}

function writeValue(value: unknown, depth: number): void {
  reserve()
  switch (typeof value) {
    case 'string':
      if (!writeString(value)) refuseSurrogate(value, depth)
      return
    case 'number':
      writeNumber(value)
      return
    case 'object':
      if (value === null) writeByte(0xc0)
      else writeObject(value, depth)
      return
    case 'boolean':
      writeByte(value ? 0xc3 : 0xc2)
      return
    case 'bigint':
      writeBigint(value)
      return
    default:
      refuse(value, depth)
  }
}

function writeObject(value: object, depth: number): void {
  if (depth >= depthMax) tooDeep()
  if (ancestors !== undefined) checkCycle(value, depth)
  const prototype = Object.getPrototypeOf(value)
  if (prototype === Object.prototype) writeRecord(value as Record<string, unknown>, depth)
  else if (prototype === Array.prototype && Array.isArray(value)) writeArray(value, depth)
  else writeSpecial(value, prototype, depth)
}

function writeRecord(value: Record<string, unknown>, depth: number): void {
  const keys = Object.keys(value)
  writeShape(keys, depth)
  for (let index = 0; index < keys.length; index++) {
    const key = keys[index] as string
    path[depth] = key
    writeValue(value[key], depth + 1)
  }
}

function writeArray(value: readonly unknown[], depth: number): void {
  const { length } = value
  writeCount(length, 0x90, 0xdc)
  for (let index = 0; index < length; index++) {
    path[depth] = index
    // A hole reads as undefined and is refused like it.
    writeValue(value[index], depth + 1)
  }
}

function writeSpecial(value: object, prototype: object | null, depth: number): void {
  if (prototype === null) {
    writeExtension1(0x4e, 0)
    writeRecord(value as Record<string, unknown>, depth)
    return
  }
  if (Buffer.isBuffer(value) && prototype === Buffer.prototype) {
    writeBuffer(value)
    return
  }
  const code = byteClassOf(prototype)
  if (code !== undefined && (ArrayBuffer.isView(value) || types.isArrayBuffer(value))) writeTyped(value, code)
  else if (prototype === Date.prototype && types.isDate(value)) writeDate(value.getTime())
  else if (prototype === Map.prototype && types.isMap(value)) writeMap(value, depth)
  else if (prototype === Set.prototype && types.isSet(value)) writeSet(value, depth)
  else if (Array.isArray(value) && isForeign(prototype, 'Array')) writeArray(value, depth)
  else if (isForeign(prototype, 'Object')) writeRecord(value as Record<string, unknown>, depth)
  else refuse(value, depth)
}

/** `Object.prototype` or `Array.prototype` of another realm (`node:vm`, some test runners). */
function isForeign(prototype: object, name: 'Object' | 'Array'): boolean {
  const above = Object.getPrototypeOf(prototype)
  const isRoot = name === 'Object' ? above === null : above !== null && Object.getPrototypeOf(above) === null
  return isRoot && Object.hasOwn(prototype, 'constructor') && isNativeFunction(prototype.constructor, name)
}

function isNativeFunction(candidate: unknown, name: string): boolean {
  if (typeof candidate !== 'function' || candidate.name !== name) return false
  return Function.prototype.toString.call(candidate) === `function ${name}() { [native code] }`
}

function writeMap(value: ReadonlyMap<unknown, unknown>, depth: number): void {
  const { size } = value
  writeCount(size, 0x80, 0xde)
  let index = 0
  for (const [key, element] of value) {
    path[depth] = mapStep(index, 0)
    writeValue(key, depth + 1)
    path[depth] = mapStep(index, 1)
    writeValue(element, depth + 1)
    index++
  }
  if (index !== size) refuseChanged(value, depth)
}

function writeSet(value: ReadonlySet<unknown>, depth: number): void {
  const { size } = value
  writeExtension1(0x73, 0)
  writeCount(size, 0x90, 0xdc)
  let index = 0
  for (const element of value) {
    path[depth] = index++
    writeValue(element, depth + 1)
  }
  if (index !== size) refuseChanged(value, depth)
}

function writeShape(keys: readonly string[], depth: number): void {
  if (keys.length > structureFieldsMax) {
    checkKeys(keys, depth)
    writeInline(undefined, keys, depth)
    return
  }
  let shape = table.find(keys)
  if (shape === undefined) {
    checkKeys(keys, depth)
    shape = table.add(keys, message)
  }
  if (isSharing) {
    if (shape.id < 0 && shape.firstMessage !== message) table.share(shape)
    if (shape.id >= 0) {
      writeSharedId(shape.id + inlineCount)
      return
    }
  }
  if (shape.inlineMessage === message) writeByte(0x40 + shape.inlineId)
  else writeInline(shape, keys, depth)
}

function writeSharedId(number: number): void {
  hasShared = true
  if (number < 32) {
    writeByte(0x40 + number)
  } else {
    writeByte(0x60 + (number & 31))
    writeByte((number - 32) >> 5)
  }
}

function writeInline(shape: Shape | undefined, keys: readonly string[], depth: number): void {
  const id = inlineNext
  inlineNext = (inlineNext + 1) % inlineCount
  const owner = inlineOwners[id]
  if (owner !== undefined) owner.inlineMessage = -1
  inlineOwners[id] = shape
  if (shape !== undefined) {
    shape.inlineMessage = message
    shape.inlineId = id
  }
  writeExtension1(0x72, 0x40 + id)
  writeCount(keys.length, 0x90, 0xdc)
  for (const key of keys) {
    reserve()
    if (!writeString(key)) refuseSurrogate(key, depth)
  }
  reserve()
}

function checkKeys(keys: readonly string[], depth: number): void {
  for (const key of keys) {
    if (!isWellFormed(key)) refuseSurrogate(key, depth)
  }
}

function checkCycle(value: object, depth: number): void {
  const known = ancestors as object[]
  const above = known.indexOf(value)
  if (above >= 0 && above < depth) refuseCycle(depth, above)
  known[depth] = value
}

/** Encodes the same value once more with its ancestors in view, which finds the cycle if there is one. */
function tooDeep(): never {
  if (ancestors === undefined) throw new TooDeep()
  refuseDepth()
}

class TooDeep extends Error {}
