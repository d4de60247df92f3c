/** What becomes of what the store refuses. */
import { RamcacheError } from '../base/errors.ts'
import { warn } from './arguments.ts'

/** Of the program, not of the store or its data. */
const mistakes: ReadonlySet<string> = new Set(['ERR_RAMCACHE_CONFIG', 'ERR_RAMCACHE_CLOSED'])

/** What the store refuses is a warning and `false`; a mistake of the program is an error. */
export function attempt<T>(name: string, work: () => T, refused: T): T {
  try {
    return work()
  } catch (error) {
    const isExpected = error instanceof RamcacheError && !mistakes.has(error.code)
    if (!isExpected) throw error
    warn(name, error.message)
    return refused
  }
}
