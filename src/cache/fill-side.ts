/** What `getOrSet` has in common wherever the store is. */
import { deserialize, serialize } from 'node:v8'
import { copierOf } from '../codec/copy.ts'
import { freezeDeep } from '../codec/freeze.ts'
import type { Entry, Key, ReadSpace } from '../native/engine.ts'
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
