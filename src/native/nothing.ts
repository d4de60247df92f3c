/** Callbacks that find nothing and write nothing. */
import { RamcacheError } from '../base/errors.ts'
import type { NativeSpace } from './binding.ts'

const unwritable = (): never => {
  throw new RamcacheError('ERR_RAMCACHE_UNAVAILABLE', 'this process only reads the store')
}

/** Stands in for a namespace nobody has written to. */
export const nothing: NativeSpace = {
  get: () => undefined,
  has: () => false,
  ask: () => 0,
  entry: () => undefined,
  peek: () => undefined,
  group: () => 0,
  scan: () => [-1, 0],
  set: unwritable,
  setMany: unwritable,
  delete: unwritable,
  touch: unwritable,
  incr: unwritable,
  clear: unwritable,
  settle: () => {},
  close: () => {},
  hits: () => 0,
  misses: () => 0,
  retries: () => 0,
  place: () => [0, 0],
}
