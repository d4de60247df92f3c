/**
 * Options of single calls, and their checks. Every caller skips all of this when no options are given, so it may take
 * its time; it must be complete, because a misspelt `ttl` would otherwise be an entry that never expires.
 */
import { show } from '../base/errors.ts'
import { parseDuration } from './duration.ts'
import { checkFields, configError } from './fields.ts'
import { checkAck, checkDurability, checkFrozen } from './open-options.ts'
import type { Durability, ScanOptions } from './options.ts'

/** The write options in the units of the store. */
export interface ValidatedWrite {
  ttlMs?: number
  idleMs?: number
  tags?: readonly string[]
  graceMs?: number
  /** The token of a lease. */
  lease?: string
  ifVersion?: string
  ifAbsent?: boolean
  ifPresent?: boolean
  durability?: Durability
}

/** One byte in the record holds the length of a tag. */
export const tagBytesMax = 255

const writeFields = ['ttl', 'idle', 'tags', 'durability', 'ack', 'signal'] as const
const setFields = [...writeFields, 'ifVersion', 'ifAbsent', 'ifPresent'] as const

export function validateCall(options: unknown, where: string): AbortSignal | undefined {
  checkFields(options, where, ['signal'])
  return checkSignal(options.signal, where)
}

/** What most gets with options say, told without the cost of a full check. */
export function saysOnlyFrozen(options: object): boolean {
  if (typeof options !== 'object' || options === null) return false
  for (const name in options) if (name !== 'frozen') return false
  return typeof (options as { frozen?: unknown }).frozen === 'boolean'
}

/** Of a get: the signal, and whether it said what is to be frozen. */
export function validateGet(
  options: unknown,
  where: string,
): { readonly signal: AbortSignal | undefined; readonly isFrozen: boolean | undefined } {
  checkFields(options, where, ['signal', 'frozen'])
  return { signal: checkSignal(options.signal, where), isFrozen: checkFrozen(options.frozen, where) }
}

export function validateSet(options: unknown, where: string): ValidatedWrite {
  checkFields(options, where, setFields)
  const write = commonWrite(options, where)
  const { ifVersion, ifAbsent, ifPresent } = options
  if (ifVersion !== undefined) {
    if (typeof ifVersion !== 'string' || ifVersion === '') {
      throw configError(
        `ifVersion of ${where} must be a version from set() or getEntry(), not ${show(ifVersion)}`,
      )
    }
    write.ifVersion = ifVersion
  }
  if (checkFlag(ifAbsent, 'ifAbsent', where)) write.ifAbsent = true
  if (checkFlag(ifPresent, 'ifPresent', where)) write.ifPresent = true
  if (write.ifAbsent && (write.ifPresent || write.ifVersion !== undefined)) {
    throw configError(
      `${where} cannot combine ifAbsent with ${write.ifPresent ? 'ifPresent' : 'ifVersion'}: both can never hold`,
    )
  }
  return write
}

/** For `add` and `setMany`: no conditions. */
export function validateWrite(options: unknown, where: string): ValidatedWrite {
  checkFields(options, where, writeFields)
  return commonWrite(options, where)
}

/** The options of a counter in the units of the store. */
export interface ValidatedCounter {
  init?: number
  ttlMs?: number
  durability?: Durability
}

export function validateCounter(options: unknown, where: string): ValidatedCounter {
  checkFields(options, where, ['init', 'ttl', 'durability', 'signal'])
  checkSignal(options.signal, where)
  const { init, ttl } = options
  const durability = checkDurability(options.durability, where)
  const validated: ValidatedCounter = durability === undefined ? {} : { durability }
  if (init !== undefined) {
    if (!Number.isSafeInteger(init)) {
      throw configError(`init of ${where} must be a whole number up to ±(2^53 - 1), not ${show(init)}`)
    }
    validated.init = init as number
  }
  if (ttl !== undefined) validated.ttlMs = parseDuration(ttl, `ttl of ${where}`)
  return validated
}

export function validateScan(options: unknown, where: string): ScanOptions {
  checkFields(options, where, ['prefix', 'match', 'tier', 'limit', 'signal'])
  const { prefix, match, tier, limit, signal } = options
  checkSignal(signal, where)
  for (const [name, text] of Object.entries({ prefix, match })) {
    if (text !== undefined && typeof text !== 'string') {
      throw configError(`${name} of ${where} must be a string, not ${show(text)}`)
    }
  }
  if (tier !== undefined && tier !== 'ram' && tier !== 'ssd' && tier !== 'hdd') {
    const known = tier === 'remote'
    throw configError(
      `tier of ${where} must be 'ram', 'ssd' or 'hdd'${known ? ' in this version' : ''}, not ${show(tier)}`,
    )
  }
  if (limit !== undefined && !(Number.isSafeInteger(limit) && (limit as number) >= 1)) {
    throw configError(`limit of ${where} must be a whole number of at least 1, not ${show(limit)}`)
  }
  return options as ScanOptions
}

export function validateClose(options: unknown): number | undefined {
  checkFields(options, 'close()', ['timeout'])
  if (options.timeout === undefined) return undefined
  return parseDuration(options.timeout, 'timeout of close()', { minMs: 0, maxMs: 3_600_000 })
}

function commonWrite(options: Record<string, unknown>, where: string): ValidatedWrite {
  checkSignal(options.signal, where)
  const durability = checkDurability(options.durability, where)
  checkAck(options.ack, where)
  const { ttl, idle, tags } = options
  const write: ValidatedWrite = {}
  if (durability !== undefined) write.durability = durability
  if (ttl !== undefined) write.ttlMs = parseDuration(ttl, `ttl of ${where}`)
  if (idle !== undefined) write.idleMs = parseDuration(idle, `idle of ${where}`)
  if (tags !== undefined) write.tags = checkTags(tags, where)
  return write
}

/** Tags that are invalidated at a time; see `TAGS_PER_CALL_MAX` in the core. */
const tagsPerCallMax = 1024

/** Tags of a call that takes them by themselves. */
export function validateTags(tags: unknown, where: string): readonly string[] {
  const checked = checkTags(tags, where)
  if (checked.length <= tagsPerCallMax) return checked
  throw configError(`${where} takes at most ${tagsPerCallMax} tags at a time, not ${checked.length}`)
}

/** Their sum is limited where they are encoded. */
export function checkTags(tags: unknown, where: string): readonly string[] {
  if (!Array.isArray(tags))
    throw configError(`tags of ${where} must be an array of strings, not ${show(tags)}`)
  for (const tag of tags) {
    const bytes = typeof tag === 'string' ? Buffer.byteLength(tag) : 0
    if (bytes === 0 || bytes > tagBytesMax) {
      throw configError(`a tag of ${where} must be a string of 1 to ${tagBytesMax} bytes, not ${show(tag)}`)
    }
  }
  return tags
}

function checkFlag(flag: unknown, name: string, where: string): boolean {
  if (flag === undefined || typeof flag === 'boolean') return flag === true
  throw configError(`${name} of ${where} must be true or false, not ${show(flag)}`)
}

export function checkSignal(signal: unknown, where: string): AbortSignal | undefined {
  if (signal === undefined || signal instanceof AbortSignal) return signal
  throw configError(`signal of ${where} must be an AbortSignal, not ${show(signal)}`)
}
