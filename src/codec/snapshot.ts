/**
 * The one walk through a value before it is packed. It refuses what cannot be stored, with the path to it, and copies
 * the rest into plain objects, arrays, Maps and Sets. What is packed is that copy: getters and proxies run once, here,
 * and nothing a user wrote (`toJSON`, `constructor`, a getter that answers differently) is met by the packer.
 *
 * It also notices what msgpackr would not give back as it was; such values are packed another way (`isPackable`).
 */
import { types } from 'node:util'
import { RamcacheError } from '../base/errors.ts'
import { byteClassOf, depthMax, recordFieldsMax } from './bytes.ts'
import { isWellFormed } from './key.ts'
import {
  checkSize,
  mapStep,
  refuse,
  refuseChanged,
  refuseCycle,
  refuseDepth,
  refuseSurrogate,
  valueError,
} from './refusals.ts'

export interface Snapshot {
  readonly value: object
  /** Whether msgpackr gives it back exactly, and has no trouble with it. */
  readonly isPackable: boolean
  /** The copies of objects without prototype; the copies have one. */
  readonly bare: readonly object[]
  /** Whether there is any plain object in it: without one, there is no structure to share. */
  readonly hasRecords: boolean
}

const byteOrderMark = 0xfeff
const underscore = 0x5f

/** Throws ERR_RAMCACHE_VALUE for what cannot be stored. */
export function takeSnapshot(value: object): Snapshot {
  try {
    return walk(value, undefined)
  } catch (error) {
    if (error instanceof TooDeep) return walk(value, [])
    if (error instanceof RamcacheError) throw error
    throw valueError(
      `the value cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      error,
    )
  }
}

/** With a list for the ancestors, to tell a cycle from honest depth; that is only looked at in the second attempt. */
function walk(value: object, ancestors: object[] | undefined): Snapshot {
  const walker = new Walker(ancestors)
  const copy = walker.copyObject(value, 0)
  checkSize(walker.size)
  const { isPackable, bare, hasRecords } = walker
  return { value: copy, isPackable, bare, hasRecords }
}

class TooDeep extends Error {}

class Walker {
  isPackable = true
  hasRecords = false
  readonly bare: object[] = []
  /** Bytes at least: one for each unit of a string. */
  size = 0
  readonly #path: (string | number)[] = []
  readonly #ancestors: object[] | undefined

  constructor(ancestors: object[] | undefined) {
    this.#ancestors = ancestors
  }

  copyObject(value: object, depth: number): object {
    if (depth >= depthMax) this.#refuseDepth(depth)
    if (this.#ancestors !== undefined) this.#checkCycle(value, depth)
    const prototype = Object.getPrototypeOf(value)
    if (prototype === Object.prototype) return this.#copyRecord(value, depth)
    if (prototype === Array.prototype && Array.isArray(value)) return this.#copyArray(value, depth)
    return this.#copySpecial(value, prototype, depth)
  }

  #copyAny(value: unknown, depth: number): unknown {
    if (typeof value === 'object' && value !== null) return this.copyObject(value, depth)
    this.#checkLeaf(value, depth)
    return value
  }

  #checkLeaf(value: unknown, depth: number): void {
    switch (typeof value) {
      case 'string':
        this.size += value.length
        if (!isWellFormed(value)) refuseSurrogate(value, this.#path.slice(0, depth))
        // Decoders of text take it away from the beginning.
        if (value.charCodeAt(0) === byteOrderMark) this.isPackable = false
        return
      case 'number':
        // Packed as the integer 0.
        if (value === 0 && 1 / value < 0) this.isPackable = false
        return
      case 'object': // null
      case 'boolean':
      case 'bigint':
        return
      default:
        refuse(value, this.#path.slice(0, depth))
    }
  }

  #copyRecord(value: object, depth: number): object {
    this.hasRecords = true
    const copy: Record<string, unknown> = {}
    const keys = Object.keys(value)
    if (keys.length > recordFieldsMax) this.isPackable = false
    for (let index = 0; index < keys.length; index++) {
      const key = keys[index] as string
      this.#checkKey(key, depth)
      this.#path[depth] = key
      const field = this.#copyAny((value as Record<string, unknown>)[key], depth + 1)
      if (key === '__proto__') define(copy, key, field)
      else copy[key] = field
    }
    return copy
  }

  #copyBare(value: object, depth: number): object {
    const copy = this.#copyRecord(value, depth)
    this.isPackable = false
    this.bare.push(copy)
    return copy
  }

  #checkKey(key: string, depth: number): void {
    if (!isWellFormed(key)) refuseSurrogate(key, this.#path.slice(0, depth))
    const first = key.charCodeAt(0)
    // `__proto__` would be renamed, `__keys__` is a name of msgpackr's own.
    if (first === byteOrderMark || (first === underscore && (key === '__proto__' || key === '__keys__'))) {
      this.isPackable = false
    }
  }

  #copyArray(value: readonly unknown[], depth: number): unknown[] {
    const { length } = value
    const copy: unknown[] = []
    for (let index = 0; index < length; index++) {
      this.#path[depth] = index
      // A hole reads as undefined and is refused like it.
      copy.push(this.#copyAny(value[index], depth + 1))
    }
    return copy
  }

  #copySpecial(value: object, prototype: object | null, depth: number): object {
    if (prototype === null) return this.#copyBare(value, depth)
    if (prototype === Date.prototype && types.isDate(value)) {
      return new Date(Date.prototype.getTime.call(value))
    }
    if (prototype === Map.prototype && types.isMap(value)) return this.#copyMap(value, depth)
    if (prototype === Set.prototype && types.isSet(value)) return this.#copySet(value, depth)
    if (isBytes(value, prototype)) {
      this.size += value.byteLength
      return value
    }
    if (Array.isArray(value) && isForeign(prototype, 'Array')) return this.#copyArray(value, depth)
    if (isForeign(prototype, 'Object')) return this.#copyRecord(value, depth)
    refuse(value, this.#path.slice(0, depth))
  }

  #copyMap(value: ReadonlyMap<unknown, unknown>, depth: number): Map<unknown, unknown> {
    const { size } = value
    const copy = new Map<unknown, unknown>()
    let index = 0
    for (const [key, element] of value) {
      this.#path[depth] = mapStep(index, 0)
      const keyCopy = this.#copyAny(key, depth + 1)
      this.#path[depth] = mapStep(index, 1)
      copy.set(keyCopy, this.#copyAny(element, depth + 1))
      index++
    }
    if (index !== size) refuseChanged(value, this.#path.slice(0, depth))
    return copy
  }

  #copySet(value: ReadonlySet<unknown>, depth: number): Set<unknown> {
    const { size } = value
    const copy = new Set<unknown>()
    let index = 0
    for (const element of value) {
      this.#path[depth] = index++
      copy.add(this.#copyAny(element, depth + 1))
    }
    if (index !== size) refuseChanged(value, this.#path.slice(0, depth))
    return copy
  }

  #checkCycle(value: object, depth: number): void {
    const ancestors = this.#ancestors as object[]
    const above = ancestors.indexOf(value)
    if (above >= 0 && above < depth) refuseCycle(this.#path.slice(0, depth), above)
    ancestors[depth] = value
  }

  #refuseDepth(depth: number): never {
    if (this.#ancestors === undefined) throw new TooDeep()
    refuseDepth(this.#path.slice(0, depth))
  }
}

function define(object: object, key: string, value: unknown): void {
  Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true })
}

/** A Buffer, typed array, ArrayBuffer or DataView: not a subclass, nor one that says it is something else. */
function isBytes(value: object, prototype: object): value is ArrayBuffer | ArrayBufferView {
  if (value.constructor !== prototype.constructor) return false
  if (prototype === Buffer.prototype) return Buffer.isBuffer(value)
  return byteClassOf(prototype) !== undefined && (ArrayBuffer.isView(value) || types.isArrayBuffer(value))
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
