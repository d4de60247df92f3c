/** Limiters over any placement: the owner of the store counts, by its clock, so all processes share one window for a key. */

import { RamcacheError, show } from '../base/errors.ts'
import { type Key, keyBytesMax } from '../codec/key.ts'
import { validateCall } from '../config/call-options.ts'
import { checkPoints, type ValidatedLimiter, validateLimiter } from '../config/limiter-options.ts'
import type { CallOptions } from '../config/options.ts'
import type { Limits } from '../native/engine.ts'
import type { Limiter, LimiterResult } from './types.ts'
import { unlessAborted } from './unless-aborted.ts'

/** Points that can be counted or taken back at a time. */
const pointsMax = 1_000_000_000
/** Namespace and name stand in front of it. */
const limiterKeyBytesMax = keyBytesMax - 67

export class NamedLimiter implements Limiter {
  readonly name: string
  readonly #limits: () => Limits
  readonly #namespace: string
  readonly #terms: ValidatedLimiter

  /** `limits` throws when the cache is closed. */
  constructor(limits: () => Limits, namespace: string, name: string, options: unknown) {
    this.#terms = validateLimiter(name, options, 'limiter()')
    this.name = name
    this.#limits = limits
    this.#namespace = namespace
  }

  async consume(key: Key = '', points = 1, options?: CallOptions): Promise<LimiterResult> {
    checkPoints(points, 'points of consume()', 1, this.#terms.points)
    return this.#ask(key, points, false, options, 'consume()')
  }

  async get(key: Key = '', options?: CallOptions): Promise<LimiterResult> {
    return this.#ask(key, 0, false, options, 'get()')
  }

  async penalty(key: Key = '', points = 1, options?: CallOptions): Promise<LimiterResult> {
    checkPoints(points, 'points of penalty()', 1, pointsMax)
    return this.#ask(key, points, true, options, 'penalty()')
  }

  async reward(key: Key = '', points = 1, options?: CallOptions): Promise<LimiterResult> {
    checkPoints(points, 'points of reward()', 1, pointsMax)
    return this.#ask(key, -points, true, options, 'reward()')
  }

  async delete(key: Key = '', options?: CallOptions): Promise<boolean> {
    const signal = begin(key, options, 'delete()')
    return unlessAborted(this.#limits().reset(this.#namespace, this.name, key), signal)
  }

  async #ask(
    key: Key,
    points: number,
    countsAll: boolean,
    options: CallOptions | undefined,
    where: string,
  ): Promise<LimiterResult> {
    const signal = begin(key, options, where)
    const asked = this.#limits().ask(this.#namespace, this.name, key, this.#terms, points, countsAll)
    const { isAllowed, consumed, isWarned, retryAfterMs, resetMs } = await unlessAborted(asked, signal)
    const { points: limit } = this.#terms
    return {
      allowed: isAllowed,
      limit,
      consumed,
      remaining: Math.max(0, limit - consumed),
      warned: isWarned,
      retryAfterMs,
      resetMs,
    }
  }
}

function begin(key: unknown, options: CallOptions | undefined, where: string): AbortSignal | undefined {
  const signal = options === undefined ? undefined : validateCall(options, where)
  signal?.throwIfAborted()
  const bytes =
    typeof key === 'string' ? Buffer.byteLength(key) : key instanceof Uint8Array ? key.length : undefined
  if (bytes === undefined) {
    const message = `the key of ${where} must be a string or bytes, not ${show(key)}`
    throw new RamcacheError('ERR_RAMCACHE_KEY', message)
  }
  if (bytes > limiterKeyBytesMax) {
    const message = `the key ${show(key)} is ${bytes} bytes long, that of a limiter has at most ${limiterKeyBytesMax}`
    throw new RamcacheError('ERR_RAMCACHE_KEY', message)
  }
  return signal
}
