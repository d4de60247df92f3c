/** Decisions that depend on what there is, in whatever tier. */
import { cold, type Key, type Space } from '../native/engine.ts'

/** Runs a call of a space until RAM can decide it: what it does not know of the key is brought there first. */
export async function decide<T>(space: Space, key: Key, decision: () => T): Promise<T> {
  for (;;) {
    try {
      return decision()
    } catch (error) {
      if (error !== cold) throw error
      await space.resolve(key)
    }
  }
}
