/** Options of `createReadStream()`, and which bytes they mean. */
import { show } from '../base/errors.ts'
import { checkSignal } from './call-options.ts'
import { checkFields, configError } from './fields.ts'

/** From the first byte to before `end`. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

export interface ValidatedRead {
  readonly start: number
  /** Inclusive; may be infinite. */
  readonly end: number
  readonly signal: AbortSignal | undefined
}

export function validateRead(options: unknown, where: string): ValidatedRead {
  if (options === undefined) return { start: 0, end: Number.POSITIVE_INFINITY, signal: undefined }
  checkFields(options, where, ['start', 'end', 'signal'])
  const signal = checkSignal(options.signal, where)
  const { start = 0, end = Number.POSITIVE_INFINITY } = options
  if (!isPosition(start))
    throw configError(`start of ${where} must be a whole number from 0 on, not ${show(start)}`)
  if (end !== Number.POSITIVE_INFINITY && !isPosition(end)) {
    throw configError(`end of ${where} must be a whole number from 0 on, not ${show(end)}`)
  }
  if (start > end) throw configError(`start of ${where} is ${start}, after its end ${end}`)
  return { start, end, signal }
}

/**
 * The bytes of a value of `totalBytes` that are meant. An end past the last byte is cut, as `fs` and HTTP do it; a
 * start past it is refused, because an empty answer would look like an empty value.
 */
export function resolveRange({ start, end }: ValidatedRead, totalBytes: number, where: string): ByteRange {
  if (start > 0 && start >= totalBytes) {
    throw configError(`start of ${where} is ${start}, but the value has ${totalBytes} bytes`)
  }
  return { start, end: Math.min(end + 1, totalBytes) }
}

function isPosition(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
