/** Options of `getOrSet`, and their checks. The names are those of bentocache where it has the same thing. */
import { show } from '../base/errors.ts'
import { checkTags, type ValidatedWrite, validateWrite } from './call-options.ts'
import { type Duration, type DurationLimits, parseDuration } from './duration.ts'
import { checkFields, configError } from './fields.ts'
import type { WriteOptions } from './options.ts'

/** Computes a value that is not there. What it throws, the callers that wait for it get. */
export type Factory<T> = (context: FactoryContext<T>) => T | PromiseLike<T>

/** What a factory is given, and may say of the value it returns. */
export interface FactoryContext<T = unknown> {
  /** Aborted when nobody waits for the value any more. */
  readonly signal: AbortSignal
  /** The value that is past its time to live, within its grace. */
  readonly gracedEntry: { readonly value: T } | undefined
  /** Time to live of the value, instead of that of the call. */
  setTtl(ttl: Duration): void
  /** Tags of the value, instead of those of the call. */
  setTags(tags: readonly string[]): void
  setOptions(options: {
    readonly ttl?: Duration
    readonly grace?: Duration
    readonly tags?: readonly string[]
  }): void
  /** Returned from the factory: nothing is stored, and the callers get `undefined`. */
  skip(): undefined
  /** Ends the factory with an error. */
  fail(message?: string): never
}

export interface GetOrSetOptions extends Omit<WriteOptions, 'idle'> {
  /**
   * How long the value is kept after its time to live, at most 49 days: what is then stale is given out at once while one
   * caller computes it anew (see `timeout`), and instead of an error when that fails. Default: not at all.
   */
  grace?: Duration
  /** With a stale value: how long nobody tries again after the factory has failed. Default 10 s; 0 = at once. */
  graceBackoff?: Duration
  /** With a stale value: how long a caller waits for the fresh one before it takes the stale one. Default 0: not at all. */
  timeout?: Duration
  /**
   * How long a caller waits at most: then it gets the stale value, or ERR_RAMCACHE_TIMEOUT. The factory goes on, and its
   * value is stored. Default: as long as the factory takes.
   */
  hardTimeout?: Duration
  /**
   * A share of the time to live, between 0 and 1: a read after that makes one process compute the value anew while
   * everybody gets the one that is there. Default: never ahead of its end.
   */
  eagerRefresh?: number
  /** Time to live of `null`. Default: as of every other value. */
  negativeTtl?: Duration
  /** Shortens each time to live by a random share of it, of this at most, so that not all end at once: 0 to 1. Default 0. */
  jitter?: number
  /**
   * Whether a failure of the cache (no owner to be reached, no room, a damaged tier, a value that cannot be stored)
   * rejects the call. Default false: the factory is called, its value returned and not stored.
   */
  strict?: boolean
}

/** The same in milliseconds. */
export interface ValidatedGetOrSet {
  readonly write: ValidatedWrite
  readonly graceMs: number
  readonly backoffMs: number
  readonly timeoutMs: number
  readonly hardTimeoutMs: number | undefined
  readonly eagerRefresh: number | undefined
  readonly negativeTtlMs: number | undefined
  readonly jitter: number
  readonly isStrict: boolean
  readonly signal: AbortSignal | undefined
}

const where = 'getOrSet()'
const writeNames = ['ttl', 'tags', 'durability', 'ack', 'signal'] as const
const ownNames = [
  'grace',
  'graceBackoff',
  'timeout',
  'hardTimeout',
  'eagerRefresh',
  'negativeTtl',
  'jitter',
  'strict',
] as const
/** A record has 32 bits for its grace. */
const graceLimits: DurationLimits = { minMs: 1, maxMs: 0xffff_ffff }
const waitLimits: DurationLimits = { minMs: 0, maxMs: 86_400_000 }
const hardLimits: DurationLimits = { minMs: 1, maxMs: 86_400_000 }
const backoffDefaultMs = 10_000

const nothingSaid: ValidatedGetOrSet = {
  write: {},
  graceMs: 0,
  backoffMs: backoffDefaultMs,
  timeoutMs: 0,
  hardTimeoutMs: undefined,
  eagerRefresh: undefined,
  negativeTtlMs: undefined,
  jitter: 0,
  isStrict: false,
  signal: undefined,
}

export function validateGetOrSet(factory: unknown, options: unknown): ValidatedGetOrSet {
  if (typeof factory !== 'function') {
    throw configError(`${where} takes a function that computes the value, not ${show(factory)}`)
  }
  if (options === undefined) return nothingSaid
  checkFields(options, where, [...writeNames, ...ownNames], ['adaptive'])
  const given = options as Record<string, unknown>
  const written = Object.fromEntries(writeNames.map((name) => [name, given[name]]))
  const write = validateWrite(written, where)
  const time = (name: string, limits: DurationLimits, otherwise: number) =>
    given[name] === undefined ? otherwise : parseDuration(given[name], `${name} of ${where}`, limits)
  const { strict } = given
  if (strict !== undefined && typeof strict !== 'boolean') {
    throw configError(`strict of ${where} must be true or false, not ${show(strict)}`)
  }
  return {
    write,
    graceMs: time('grace', graceLimits, 0),
    backoffMs: time('graceBackoff', waitLimits, backoffDefaultMs),
    timeoutMs: time('timeout', waitLimits, 0),
    hardTimeoutMs: given.hardTimeout === undefined ? undefined : time('hardTimeout', hardLimits, 0),
    eagerRefresh: shareOf(given.eagerRefresh, 'eagerRefresh'),
    negativeTtlMs:
      given.negativeTtl === undefined
        ? undefined
        : parseDuration(given.negativeTtl, `negativeTtl of ${where}`),
    jitter: shareOf(given.jitter, 'jitter') ?? 0,
    isStrict: strict === true,
    signal: given.signal as AbortSignal | undefined,
  }
}

function shareOf(value: unknown, name: string): number | undefined {
  if (value === undefined) return undefined
  if (typeof value === 'number' && value >= 0 && value <= 1) return value
  throw configError(`${name} of ${where} must be a share between 0 and 1, not ${show(value)}`)
}

/** What a factory has said of its value. */
export interface FactorySays {
  ttlMs?: number
  graceMs?: number
  tags?: readonly string[]
}

/** Takes what a factory says down, checked as the options of a call are. */
export function noteOptions(says: FactorySays, options: unknown, of: string): void {
  checkFields(options, of, ['ttl', 'grace', 'tags'])
  const { ttl, grace, tags } = options
  if (ttl !== undefined) says.ttlMs = parseDuration(ttl, `ttl of ${of}`)
  if (grace !== undefined) says.graceMs = parseDuration(grace, `grace of ${of}`, graceLimits)
  if (tags !== undefined) says.tags = checkTags(tags, of)
}
