/** Limiters of the process that owns the store. */
import { binding, type NativeHandle, translate } from './binding.ts'
import type { Key, LimitAnswer, Limits, LimitTerms } from './engine.ts'

export class NativeLimits implements Limits {
  readonly #handle: NativeHandle

  constructor(handle: NativeHandle) {
    this.#handle = handle
  }

  async ask(
    namespace: string,
    name: string,
    key: Key,
    terms: LimitTerms,
    points: number,
    countsAll: boolean,
  ): Promise<LimitAnswer> {
    try {
      const number = binding().namespaceId(this.#handle, namespace)
      return binding().askLimit(this.#handle, number, name, bytesOf(key), terms, points, countsAll)
    } catch (error) {
      return translate(error)
    }
  }

  async reset(namespace: string, name: string, key: Key): Promise<boolean> {
    try {
      const number = binding().namespaceId(this.#handle, namespace)
      return binding().resetLimit(this.#handle, number, name, bytesOf(key))
    } catch (error) {
      return translate(error)
    }
  }
}

function bytesOf(key: Key): Uint8Array {
  return typeof key === 'string' ? Buffer.from(key) : key
}
