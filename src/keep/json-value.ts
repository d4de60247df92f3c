/**
 * Values as JSON and back, without loss. What JSON has is written as it is; what it has not is an object with one name
 * that begins with `$`:
 *
 * ```text
 * {"$number": "NaN" | "Infinity" | "-Infinity" | "-0"}   {"$bigint": "-12"}   {"$date": ms since 1970, or null}
 * {"$bytes": base64}   {"$Float32Array": base64} and so for each typed array, ArrayBuffer and DataView
 * {"$map": [[key, value], ...]}   {"$set": [...]}   {"$bare": {...}} an object without a prototype
 * {"$object": {...}} an object that would look like one of these
 * ```
 */
import { types } from 'node:util'
import { RamcacheError, show } from '../base/errors.ts'
import { byteClasses, byteClassOf, bytesOf, copyAsClass, depthMax } from '../codec/bytes.ts'

type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json }

const mark = '$'
const classNames = new Map(
  [...byteClasses].map(([code, { prototype }]) => [code, prototype.constructor.name] as const),
)
const classCodes = new Map([...classNames].map(([code, name]) => [`${mark}${name}`, code]))
const oddNumbers = ['NaN', 'Infinity', '-Infinity', '-0']

/** What the codec of values has decoded. */
export function toJson(value: unknown): Json {
  switch (typeof value) {
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0) ? value : { $number: numberName(value) }
    case 'bigint':
      return { $bigint: value.toString() }
    case 'object':
      return value === null ? null : objectToJson(value)
    default:
      return value as Json
  }
}

function numberName(value: number): string {
  return Object.is(value, -0) ? '-0' : String(value)
}

function objectToJson(value: object): Json {
  if (Array.isArray(value)) return value.map(toJson)
  if (Buffer.isBuffer(value)) return { $bytes: value.toString('base64') }
  const prototype = Object.getPrototypeOf(value) as object | null
  const code = prototype === null ? undefined : byteClassOf(prototype)
  if (code !== undefined) {
    const bytes = bytesOf(value as ArrayBuffer | ArrayBufferView)
    return { [`${mark}${classNames.get(code)}`]: Buffer.from(bytes).toString('base64') }
  }
  if (types.isDate(value)) {
    const ms = value.getTime()
    return { $date: Number.isNaN(ms) ? null : ms }
  }
  if (types.isMap(value)) return { $map: [...value].map(([key, item]) => [toJson(key), toJson(item)]) }
  if (types.isSet(value)) return { $set: [...value].map(toJson) }
  // Not assigned: a name may be `__proto__`.
  const plain = Object.fromEntries(Object.entries(value).map(([name, item]) => [name, toJson(item)]))
  if (prototype === null) return { $bare: plain }
  const names = Object.keys(plain)
  return names.length === 1 && names[0]?.startsWith(mark) ? { $object: plain } : plain
}

/** Throws ERR_RAMCACHE_VALUE for what `toJson` never writes. */
export function fromJson(json: unknown, depth = 0): unknown {
  // A value at the deepest place allowed may take a few more levels in this form.
  if (depth > depthMax * 3) throw refused(`it is nested deeper than ${depthMax} levels`)
  if (typeof json !== 'object' || json === null) return json
  if (Array.isArray(json)) return json.map((item) => fromJson(item, depth + 1))
  const names = Object.keys(json)
  const [name] = names
  if (names.length === 1 && name?.startsWith(mark)) {
    return fromMarked(name, (json as Record<string, unknown>)[name], depth)
  }
  return plainFrom(json, depth)
}

function plainFrom(json: unknown, depth: number): object {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw refused(`${show(json)} is no object`)
  }
  return Object.fromEntries(Object.entries(json).map(([name, item]) => [name, fromJson(item, depth + 1)]))
}

function fromMarked(name: string, json: unknown, depth: number): unknown {
  switch (name) {
    case '$number':
      if (oddNumbers.includes(json as string)) return Number(json)
      break
    case '$bigint':
      return bigintFrom(json)
    case '$bytes':
      return bytesFrom(json)
    case '$date':
      if (json === null) return new Date(Number.NaN)
      if (typeof json === 'number') return new Date(json)
      break
    case '$map':
      return new Map(listFrom(json).map((pair) => pairFrom(pair, depth)))
    case '$set':
      return new Set(listFrom(json).map((item) => fromJson(item, depth + 1)))
    case '$bare':
      return Object.setPrototypeOf(plainFrom(json, depth), null)
    case '$object':
      return plainFrom(json, depth)
    default:
      return viewFrom(classCodes.get(name), json, name)
  }
  throw refused(`${show(json)} cannot stand under ${show(name)}`)
}

function pairFrom(pair: unknown, depth: number): [unknown, unknown] {
  if (!Array.isArray(pair) || pair.length !== 2) throw refused(`an entry of a Map is ${show(pair)}`)
  return [fromJson(pair[0], depth + 1), fromJson(pair[1], depth + 1)]
}

function listFrom(json: unknown): unknown[] {
  if (!Array.isArray(json)) throw refused(`${show(json)} is no list`)
  return json
}

export function bigintFrom(json: unknown): bigint {
  if (typeof json !== 'string' || !/^-?\d+$/.test(json)) throw refused(`${show(json)} is no whole number`)
  return BigInt(json)
}

export function bytesFrom(json: unknown): Buffer {
  if (typeof json !== 'string') throw refused(`${show(json)} is not base64`)
  const bytes = Buffer.from(json, 'base64')
  const padding = json.endsWith('==') ? 2 : json.endsWith('=') ? 1 : 0
  // Node skips what is not base64, and the result is too short then.
  if (json.length % 4 !== 0 || bytes.length !== (json.length / 4) * 3 - padding) {
    throw refused(`${show(json)} is not base64`)
  }
  return bytes
}

function viewFrom(code: number | undefined, json: unknown, name: string): unknown {
  if (code === undefined) throw refused(`there is no kind of value named ${show(name)}`)
  const bytes = bytesFrom(json)
  const view = copyAsClass(code, bytes, 0, bytes.length)
  if (view === undefined) throw refused(`${bytes.length} bytes cannot be a ${name.slice(1)}`)
  return view
}

export function refused(what: string): RamcacheError {
  return new RamcacheError('ERR_RAMCACHE_VALUE', what)
}
