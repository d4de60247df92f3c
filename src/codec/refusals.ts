/** What is said about a value that cannot be stored, with the path to the part that is the reason. */
import { RamcacheError, show } from '../base/errors.ts'
import { depthMax, valueBytesMax } from './bytes.ts'

/** Steps from the root to a part of a value: names, positions, and for maps `mapStep`. */
export type Path = readonly (string | number)[]

/** A step into a map: entry `index`, its key (0) or its value (1). Negative, to differ from array positions. */
export function mapStep(index: number, half: 0 | 1): number {
  return -1 - index * 2 - half
}

export function valueError(message: string, cause?: unknown): RamcacheError {
  return new RamcacheError('ERR_RAMCACHE_VALUE', message, cause)
}

export function blobError(): RamcacheError {
  return valueError('the value is a blob: read it with createReadStream()')
}

export function refuse(value: unknown, path: Path): never {
  const where = pathText(path)
  if (value === undefined)
    throw valueError(`${where} is undefined, which cannot be stored: leave it out or use null`)
  if (typeof value !== 'object') throw valueError(`${where} is ${show(value)}, which cannot be stored`)
  throw valueError(
    `${where} is ${show(value)}, which cannot be stored: plain objects, arrays, Map, Set, Date, Buffer, typed arrays and plain values can`,
  )
}

export function refuseSurrogate(value: string, path: Path): never {
  throw valueError(`${pathText(path)} holds half a surrogate pair in ${show(value)}, which has no UTF-8 form`)
}

export function refuseChanged(value: object, path: Path): never {
  throw valueError(`${pathText(path)} is ${show(value)} that changed while it was read`)
}

export function refuseCycle(path: Path, above: number): never {
  throw valueError(
    `${pathText(path)} is ${pathText(path.slice(0, above))} again: a value that contains itself cannot be stored`,
  )
}

export function refuseDepth(path: Path): never {
  throw valueError(`${pathText(path.slice(0, 4))}... is nested deeper than the maximum of ${depthMax} levels`)
}

/** For `bytes`, or when they are not known, for more than the maximum. */
export function checkSize(bytes: number): number {
  if (bytes > valueBytesMax) {
    throw valueError(`the value is ${bytes} bytes long, above the maximum of ${valueBytesMax} bytes`)
  }
  return bytes
}

function pathText(path: Path): string {
  return `value${path.map(stepText).join('')}`
}

function stepText(step: string | number): string {
  if (typeof step === 'string') return /^[A-Za-z_$][\w$]*$/.test(step) ? `.${step}` : `[${show(step)}]`
  if (step >= 0) return `[${step}]`
  const index = (-1 - step) >> 1
  return `.entries()[${index}][${(-1 - step) & 1}]`
}
