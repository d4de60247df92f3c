/** Callbacks that find nothing and write nothing. */
import { RamcacheError } from '../base/errors.ts'
import { checkKey } from '../codec/key.ts'
import type { NativeSpace } from './binding.ts'
import { Control, control } from './scratch.ts'

const unwritable = (): never => {
  throw new RamcacheError('ERR_RAMCACHE_UNAVAILABLE', 'this process only reads the store')
}

/** As a read does that finds nothing, in whatever tier. */
function miss(): undefined {
  control[Control.cold] = 0
}

/** Stands in for a namespace nobody has written to. */
export const nothing: NativeSpace = {
  // A get is the one call whose key nobody has looked at.
  get: (key) => {
    checkKey(key)
    return miss()
  },
  has: () => miss() ?? false,
  ask: () => 0,
  entry: miss,
  peek: miss,
  group: () => 0,
  scan: () => [-1, 0],
  set: unwritable,
  setMany: unwritable,
  delete: unwritable,
  touch: unwritable,
  pin: unwritable,
  demote: unwritable,
  incr: unwritable,
  clear: unwritable,
  lease: unwritable,
  abandon: unwritable,
  invalidate: unwritable,
  settle: () => {},
  close: () => {},
  hits: () => 0,
  misses: () => 0,
  retries: () => 0,
  place: () => [0, 0],
}
