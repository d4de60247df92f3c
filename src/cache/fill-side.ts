/** What `getOrSet` has in common wherever the store is. */
import { deserialize, serialize } from 'node:v8'
import { copierOf } from '../codec/copy.ts'
import { freezeDeep } from '../codec/freeze.ts'
import type { Durability, Entry, Key, ReadSpace, Space } from '../native/engine.ts'
import { Control, control } from '../native/scratch.ts'
import { publish } from '../observe/events.ts'
import { coldRead } from './cold-read.ts'
import type { FillSide } from './get-or-set.ts'

type Reads = Omit<FillSide, 'lease' | 'fill' | 'abandon' | 'ttlMs'>

export function readsOf(space: ReadSpace, namespace: string, isFrozen: boolean): Reads {
  return {
    isFrozen,
    getNow: (key) => (isFrozen ? space.getFrozen(key) : space.get(key)),
    entryNow: (key) => {
      const entry = space.getEntry(key)
      return entry === undefined ? undefined : { entry, nowMs: control[Control.now] as number }
    },
    getCold: (key) => {
      if (!space.isCold) return undefined
      const found = coldRead(namespace, 'get', key, space.fetch(key))
      return isFrozen ? found.then(frozen) : found
    },
    isThere: (key) => space.peek(key) !== undefined,
    valueOf: (_key: Key, { value }: Entry) => (isFrozen ? frozen(value) : copyOf(value)),
    failed: (key, error) => publish('ramcache:getorset:failed', () => ({ namespace, key, error })),
  }
}

/** What the cache of the owner has to say of itself. */
export interface OwnerFills {
  readonly space: Space
  readonly namespace: string
  readonly isFrozen: boolean
  readonly ttlMs: number | undefined
  readonly durability: Durability
  /** Runs what depends on what there is, in whatever tier. */
  decide<T>(key: Key, decision: (key: Key) => T): Promise<T>
  /** Resolves to true when a write that was just made is as safe as that. */
  settled(durability: Durability): Promise<boolean>
}

export function ownerFills(owner: OwnerFills): FillSide {
  const { space, namespace, isFrozen, ttlMs } = owner
  return {
    ...readsOf(space, namespace, isFrozen),
    ttlMs,
    lease: (key, leaseMs, refreshes) => owner.decide(key, (own) => space.lease(own, leaseMs, refreshes)),
    fill: async (key, value, write) => {
      const { durability = owner.durability } = write
      const version = await owner.decide(key, (own) => space.set(own, value, { ...write, durability }))
      return version === undefined ? false : owner.settled(durability)
    },
    abandon: async (key, token, pauseMs) => space.abandon(key, token, pauseMs),
  }
}

function frozen(value: unknown): unknown {
  freezeDeep(value)
  return value
}

/** Several callers may take the same stale value, and each may change what it gets. */
function copyOf(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  const copier = copierOf(value)
  return copier === undefined ? deserialize(serialize(value)) : copier(value)
}
