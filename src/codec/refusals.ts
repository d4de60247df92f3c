/** Where the encoder stands in a value, and what it says when it cannot go on. */
import { RamcacheError, show } from '../base/errors.ts'
import { depthMax, valueBytesMax } from './bytes.ts'

/** Steps from the root to where the encoder stands: names, positions, and for maps `mapStep`. */
export const path: (string | number)[] = []

/** A step into a map: entry `index`, its key (0) or its value (1). Negative, to differ from array positions. */
export function mapStep(index: number, half: 0 | 1): number {
  return -1 - index * 2 - half
}

export function valueError(message: string, cause?: unknown): RamcacheError {
  return new RamcacheError('ERR_RAMCACHE_VALUE', message, cause)
}

export function refuse(value: unknown, depth: number): never {
  const where = pathText(depth)
  if (value === undefined)
    throw valueError(`${where} is undefined, which cannot be stored: leave it out or use null`)
  if (typeof value !== 'object') throw valueError(`${where} is ${show(value)}, which cannot be stored`)
  throw valueError(
    `${where} is ${show(value)}, which cannot be stored: plain objects, arrays, Map, Set, Date, Buffer, typed arrays and plain values can`,
  )
}

export function refuseSurrogate(value: string, depth: number): never {
  throw valueError(
    `${pathText(depth)} holds half a surrogate pair in ${show(value)}, which has no UTF-8 form`,
  )
}

export function refuseChanged(value: object, depth: number): never {
  throw valueError(`${pathText(depth)} is ${show(value)} that changed while it was read`)
}

export function refuseCycle(depth: number, above: number): never {
  throw valueError(
    `${pathText(depth)} is ${pathText(above)} again: a value that contains itself cannot be stored`,
  )
}

export function refuseDepth(): never {
  throw valueError(`${pathText(4)}... is nested deeper than the maximum of ${depthMax} levels`)
}

export function refuseSize(): never {
  throw valueError(`the value is larger than the maximum of ${valueBytesMax} bytes`)
}

function pathText(depth: number): string {
  return `value${path.slice(0, depth).map(stepText).join('')}`
}

function stepText(step: string | number): string {
  if (typeof step === 'string') return /^[A-Za-z_$][\w$]*$/.test(step) ? `.${step}` : `[${show(step)}]`
  if (step >= 0) return `[${step}]`
  const index = (-1 - step) >> 1
  return `.entries()[${index}][${(-1 - step) & 1}]`
}
