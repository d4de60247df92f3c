/**
 * Which keys were in RAM, saved every minute and at the end; after a start without an arena they are brought up again,
 * a few at a time, while nobody waits for the disk. `native/core/src/below/hot.rs`.
 */
import { binding, type NativeHandle } from '../native/binding.ts'

const saveEveryMs = 60_000
/** Between two slices of warming: the readers need some of it for each. */
const sliceMs = 2
const restMs = 200

export class HotSet {
  readonly #handle: NativeHandle
  #isWarming = false
  #restedMs = 0

  /** `warn` is told of a list that could not be read. */
  constructor(handle: NativeHandle, warms: boolean, warn: (message: string) => void) {
    this.#handle = handle
    if (!warms) return
    const { start } = JSON.parse(binding().countStore(handle)) as { start: { kind: string } | null }
    // An arena that was taken over has everything already.
    if (start?.kind === 'adopted') return
    try {
      this.#isWarming = binding().beginWarming(handle) > 0
    } catch (error) {
      warn((error as Error).message)
    }
  }

  /** How long to rest before the next step. */
  step(): number {
    if (this.#isWarming) {
      this.#isWarming = binding().warm(this.#handle) > 0
      return sliceMs
    }
    this.#restedMs += restMs
    if (this.#restedMs >= saveEveryMs) {
      this.#restedMs = 0
      binding().saveHot(this.#handle)
    }
    return restMs
  }

  /** At the end. What cannot be saved is only cold after the next start. */
  close(): void {
    try {
      binding().saveHot(this.#handle)
    } catch (error) {
      process.emitWarning((error as Error).message, 'RamcacheWarning')
    }
  }
}
