/** Arguments as PHP understands them: what counts as a key, a list or an array, and how a warning is given. */
import { isUtf8 } from 'node:buffer'
import { isWellFormed } from '../codec/key.ts'
import { emptyKey } from './entries.ts'

/** An array of PHP that is given to a function: with keys, or a list. */
export type PhpArray<T> = readonly T[] | ReadonlyMap<string | number, T> | Readonly<Record<string, T>>

const keyBytesMax = 4096
/** Reasons are few; names of functions and keys are not part of them. */
const warned = new Set<string>()

/** For a store that has just been opened. */
export function forgetWarnings(): void {
  warned.clear()
}

/** A warning of PHP, once for each function and reason. */
export function warn(name: string, reason: string): false {
  const message = `${name}(): ${reason}`
  if (!warned.has(message)) {
    warned.add(message)
    process.emitWarning(message, 'WincacheWarning')
  }
  return false
}

/** Whether it is an array in PHP's sense: an array, a Map or a plain object. */
export function isArray(value: unknown): value is PhpArray<unknown> {
  if (typeof value !== 'object' || value === null) return false
  if (Array.isArray(value) || value instanceof Map) return true
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** With its keys: positions in a list, as text. */
export function pairsOf<T>(array: PhpArray<T>): [string | number, T][] {
  if (array instanceof Map) return [...array]
  return Object.entries(array) as [string, T][]
}

/** The key that is meant, up to its first NUL; `undefined` after a warning, or without one when it is too long. */
export function keyOf(name: string, given: unknown): string | undefined {
  const text = textOf(given)
  if (text === undefined) return refuse(name, 'key cannot be made a string')
  const key = cut(text)
  if (key === '') return refuse(name, 'key cannot be blank string')
  return checked(name, key)
}

/** A key inside an array, which may be empty. */
export function elementKeyOf(name: string, given: string | number): string | undefined {
  const key = cut(String(given))
  return key === '' ? emptyKey : checked(name, key)
}

/** The keys of a list; `undefined` after a warning when one is neither text nor an integer. */
export function elementsOf(name: string, list: PhpArray<unknown>): (string | number)[] | undefined {
  const elements = pairsOf(list).map(([, element]) =>
    typeof element === 'bigint' ? String(element) : element,
  )
  const isKey = (element: unknown) => typeof element === 'string' || Number.isSafeInteger(element)
  if (elements.every(isKey)) return elements as (string | number)[]
  return refuse(name, 'key element in the array can only be string or integer')
}

function refuse(name: string, reason: string): undefined {
  warn(name, reason)
  return undefined
}

function checked(name: string, key: string): string | undefined {
  if (!isWellFormed(key)) return refuse(name, 'key holds half a surrogate pair, which has no UTF-8 form')
  return Buffer.byteLength(key) > keyBytesMax ? undefined : key
}

function cut(key: string): string {
  const end = key.indexOf('\0')
  return end === -1 ? key : key.slice(0, end)
}

function textOf(given: unknown): string | undefined {
  switch (typeof given) {
    case 'string':
      return given
    case 'number':
    case 'bigint':
      return String(given)
    case 'boolean':
      return given ? '1' : ''
    case 'undefined':
      return ''
    case 'object':
      if (given === null) return ''
      if (!(given instanceof Uint8Array)) return undefined
      return isUtf8(given) ? Buffer.from(given).toString() : undefined
    default:
      return undefined
  }
}
