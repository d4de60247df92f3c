/**
 * What happens in this process, on channels of `node:diagnostics_channel` that bear these names. A message is made only when
 * somebody listens. Each thread has channels of its own.
 */
import { channel } from 'node:diagnostics_channel'

/** By their channels. */
export interface Events {
  /** This process owns the store of a directory: after each `open()` that finds nobody else there, and when it takes over. */
  'ramcache:own': {
    readonly dir: string
    /** What it began with: nothing in RAM, the memory of an owner that died, or one that it could not take over. */
    readonly start: 'fresh' | 'adopted' | 'refused'
  }
  /** A client has lost its owner, or its connection to it. */
  'ramcache:owner:lost': { readonly socket: string; readonly why: string }
  /** A client is connected to an owner: the first one, or the next. */
  'ramcache:owner:found': { readonly socket: string; readonly pid: number }
  /** A read that RAM could not answer has been answered, or has failed. */
  'ramcache:read:cold': {
    readonly namespace: string
    readonly key: string | Uint8Array
    readonly method: 'get' | 'getEntry' | 'has'
    readonly isHit: boolean
    readonly ms: number
    readonly error: unknown
  }
  /** `getOrSet()` has met an error that it did not throw: of the cache, or of a factory where there was something stale. */
  'ramcache:getorset:failed': {
    readonly namespace: string
    readonly key: string | Uint8Array
    readonly error: unknown
  }
}

export type EventName = keyof Events

const channels = {
  'ramcache:own': channel('ramcache:own'),
  'ramcache:owner:lost': channel('ramcache:owner:lost'),
  'ramcache:owner:found': channel('ramcache:owner:found'),
  'ramcache:read:cold': channel('ramcache:read:cold'),
  'ramcache:getorset:failed': channel('ramcache:getorset:failed'),
} as const satisfies Record<EventName, unknown>

export function hasListeners(name: EventName): boolean {
  return channels[name].hasSubscribers
}

export function publish<N extends EventName>(name: N, message: () => Events[N]): void {
  if (channels[name].hasSubscribers) channels[name].publish(message())
}
