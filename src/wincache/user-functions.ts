/** `wincache_ucache_*`, with the arguments and return values of PHP; arrays of PHP are arrays, Maps or plain objects. */
import { elementKeyOf, elementsOf, isArray, keyOf, type PhpArray, pairsOf, warn } from './arguments.ts'
import { attempt } from './attempt.ts'
import { type Long, toLong } from './longs.ts'
import type { MemoryInfo, UcacheInfo } from './shapes.ts'
import { thread } from './thread.ts'
import { type Packed, pack, unpack } from './transfer.ts'

/** In place of an argument by reference. */
export interface Success {
  success?: boolean
}

/** The keys that failed. */
export type Failures = Record<string, -1>

function isOff(): boolean {
  return !thread().options.hasUserCache
}

/** A value, or those of a list of keys that there are; `false` for a miss. */
export function wincache_ucache_get(
  key: PhpArray<string | number>,
  success?: Success,
): Record<string, unknown> | false
export function wincache_ucache_get(key: unknown, success?: Success): unknown
export function wincache_ucache_get(key: unknown, success: Success = {}): unknown {
  const name = 'wincache_ucache_get'
  success.success = false
  if (isOff()) return false
  return attempt(
    name,
    () => {
      if (isArray(key)) return getMany(name, key, success)
      const own = keyOf(name, key)
      const found = own === undefined ? undefined : thread().call('get', own)
      if (found === undefined) return false
      success.success = true
      return unpack(found)
    },
    false,
  )
}

function getMany(name: string, list: PhpArray<unknown>, success: Success): Record<string, unknown> | false {
  const elements = elementsOf(name, list)
  if (elements === undefined) return false
  const keys = new Map<string, string>()
  for (const element of elements) {
    const key = elementKeyOf(name, element)
    if (key !== undefined && !keys.has(key)) keys.set(key, String(element))
  }
  const found = new Map(thread().call('getMany', [...keys.keys()]))
  const hits: Record<string, unknown> = {}
  for (const [key, element] of keys) {
    const packed = found.get(key)
    if (packed !== undefined) define(hits, element, unpack(packed))
  }
  success.success = true
  return hits
}

/** Whether it was stored; for an array, the keys that were not. All of an array are visible at once. */
export function wincache_ucache_set(entries: PhpArray<unknown>, values?: null, ttl?: number): Failures | false
export function wincache_ucache_set(key: unknown, value?: unknown, ttl?: number): boolean | Failures
export function wincache_ucache_set(key: unknown, value?: unknown, ttl: unknown = 0): boolean | Failures {
  const name = 'wincache_ucache_set'
  const seconds = ttlOf(name, ttl)
  if (isOff() || seconds === undefined) return false
  const one = (own: string, packed: Packed) => thread().call('set', [[own, packed]], seconds) === undefined
  if (!isArray(key)) return storeOne(name, key, value, one)
  const { pairs, failures } = packedPairs(name, key)
  const entries = pairs.map(([own, packed]) => [own, packed] as const)
  const isStored = attempt(
    name,
    () => entries.length === 0 || thread().call('set', entries, seconds) === undefined,
    false,
  )
  if (!isStored) for (const [, , element] of pairs) define(failures, element, -1)
  return failures
}

/** As `wincache_ucache_set`, of what is not there yet. Of an array, each by itself. */
export function wincache_ucache_add(entries: PhpArray<unknown>, values?: null, ttl?: number): Failures | false
export function wincache_ucache_add(key: unknown, value?: unknown, ttl?: number): boolean | Failures
export function wincache_ucache_add(key: unknown, value?: unknown, ttl: unknown = 0): boolean | Failures {
  const name = 'wincache_ucache_add'
  const seconds = ttlOf(name, ttl)
  if (isOff() || seconds === undefined) return false
  const exists = () => warn(name, 'function called with a key which already exists')
  const one = (own: string, packed: Packed) =>
    thread().call('add', [[own, packed]], seconds)[0] === true || exists()
  if (!isArray(key)) return storeOne(name, key, value, one)
  const { pairs, failures } = packedPairs(name, key)
  const entries = pairs.map(([own, packed]) => [own, packed] as const)
  const added = attempt(name, () => thread().call('add', entries, seconds), [])
  for (const [index, [, , element]] of pairs.entries())
    if (added[index] !== true) define(failures, element, -1)
  return failures
}

function storeOne(
  name: string,
  key: unknown,
  value: unknown,
  store: (own: string, packed: Packed) => boolean,
): boolean {
  const own = keyOf(name, key)
  if (own === undefined) return false
  const packed = packedValue(name, value)
  return packed !== undefined && attempt(name, () => store(own, packed), false)
}

/** What can be stored of an array, by key in the store, value and key as it was given; and what cannot. */
function packedPairs(name: string, array: PhpArray<unknown>) {
  const pairs: [string, Packed, string][] = []
  const failures: Failures = {}
  for (const [element, value] of pairsOf(array)) {
    const key = elementKeyOf(name, element)
    const packed = packedValue(name, value)
    if (key === undefined || packed === undefined) define(failures, String(element), -1)
    else pairs.push([key, packed, String(element)])
  }
  return { pairs, failures }
}

/** `undefined` after a warning. A function is an error, as a closure is in PHP. */
function packedValue(name: string, value: unknown): Packed | undefined {
  if (typeof value === 'function') throw new Error("Serialization of 'Closure' is not allowed")
  if (typeof value === 'symbol') {
    warn(name, 'value cannot be a symbol')
    return undefined
  }
  return attempt<Packed | undefined>(name, () => pack(value === undefined ? null : value), undefined)
}

function ttlOf(name: string, given: unknown): number | undefined {
  const seconds = toLong(given)
  if (seconds !== undefined && seconds >= 0) return Number(seconds)
  warn(name, seconds === undefined ? 'ttl must be a number' : 'ttl cannot be negative')
  return undefined
}

/** Stores `newValue` where there is `oldValue`; both are integers, as is what there must be. */
export function wincache_ucache_cas(key: unknown, oldValue: Long, newValue: Long): boolean {
  const name = 'wincache_ucache_cas'
  if (isOff()) return false
  const own = keyOf(name, key)
  const [before, after] = [toLong(oldValue), toLong(newValue)]
  if (own === undefined) return false
  if (before === undefined || after === undefined) return warn(name, 'both values must be integers')
  return attempt(name, () => integerOr(name, thread().call('cas', own, before, after)), false)
}

/** The sum. What is not there is not made. */
export function wincache_ucache_inc(key: unknown, by: Long = 1, success: Success = {}): Long | false {
  return step('wincache_ucache_inc', key, by, 1n, success)
}

/** The difference. */
export function wincache_ucache_dec(key: unknown, by: Long = 1, success: Success = {}): Long | false {
  return step('wincache_ucache_dec', key, by, -1n, success)
}

function step(name: string, key: unknown, given: unknown, sign: bigint, success: Success): Long | false {
  success.success = false
  if (isOff()) return false
  const own = keyOf(name, key)
  const by = toLong(given)
  if (own === undefined) return false
  if (by === undefined) return warn(name, 'what is added must be an integer')
  const signed = toLong(BigInt.asIntN(64, sign * BigInt(by))) as Long
  const sum = attempt<Long | false>(
    name,
    () => integerOr(name, thread().call('increment', own, signed)),
    false,
  )
  success.success = sum !== false
  return sum
}

function integerOr<T>(name: string, answer: T | 'absent' | 'not long'): T | false {
  if (answer === 'absent') return false
  if (answer !== 'not long') return answer as T
  return warn(name, 'function can only be called for key whose value is long')
}

/** Whether it was there; of a list, those that were, `false` when none was. */
export function wincache_ucache_delete(key: PhpArray<string | number>): (string | number)[] | false
export function wincache_ucache_delete(key: unknown): boolean | (string | number)[]
export function wincache_ucache_delete(key: unknown): boolean | (string | number)[] {
  const name = 'wincache_ucache_delete'
  if (isOff()) return false
  if (!isArray(key)) {
    const own = keyOf(name, key)
    return own !== undefined && attempt(name, () => thread().call('delete', [own])[0] === true, false)
  }
  const elements = elementsOf(name, key)
  if (elements === undefined) return false
  const known = elements.flatMap((element) => {
    const own = elementKeyOf(name, element)
    return own === undefined ? [] : [[own, element] as const]
  })
  const deleted = attempt(
    name,
    () =>
      thread().call(
        'delete',
        known.map(([own]) => own),
      ),
    [],
  )
  const gone = known.filter((_, index) => deleted[index] === true).map(([, element]) => element)
  return gone.length === 0 ? false : gone
}

/** Whether there is such an entry. Counts neither as a hit nor as a miss. */
export function wincache_ucache_exists(key: unknown): boolean {
  const name = 'wincache_ucache_exists'
  if (isOff()) return false
  const own = keyOf(name, key)
  return own !== undefined && attempt(name, () => thread().call('exists', own), false)
}

/** Removes all entries. Takes no argument. */
export function wincache_ucache_clear(...none: unknown[]): boolean {
  const name = 'wincache_ucache_clear'
  if (isOff() || none.length > 0) return false
  return attempt(name, () => thread().call('clear') === undefined, false)
}

/** All entries, one of them, or none and only the totals. */
export function wincache_ucache_info(summaryonly: unknown = false, key?: unknown): UcacheInfo | false {
  const name = 'wincache_ucache_info'
  const own = key === undefined || key === null ? undefined : keyOf(name, key)
  if (own === undefined && key !== undefined && key !== null) return false
  return attempt<UcacheInfo | false>(name, () => thread().call('userInfo', Boolean(summaryonly), own), false)
}

/** Of the whole store. */
export function wincache_ucache_meminfo(): MemoryInfo | false {
  return attempt<MemoryInfo | false>('wincache_ucache_meminfo', () => thread().call('memory'), false)
}

/** Not assigned: a key may be called `__proto__`. */
function define(target: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, enumerable: true, writable: true, configurable: true })
}
