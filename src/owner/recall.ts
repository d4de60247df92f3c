/**
 * Entries that were pinned belong into RAM, also after a start that found none there. They come up beside everything else:
 * until then a read finds them below.
 */
import { setTimeout as after } from 'node:timers/promises'
import { binding, type NativeHandle } from '../native/binding.ts'
import { namespaceBytes } from '../tiers/keys.ts'
import type { ScanRow } from '../tiers/log-index.ts'

/** Flag of a row; see `native/core/src/log/checkpoint.rs`. */
const flagPinned = 4
const typeNone = 0
const placeBytes = 14

export class Recall {
  readonly #handle: NativeHandle
  /** Those the store pins itself are in RAM before it is used. */
  readonly #own: ReadonlySet<number>
  readonly #keys: { namespace: number; key: Uint8Array }[] = []

  constructor(handle: NativeHandle, own: ReadonlySet<number>) {
    this.#handle = handle
    this.#own = own
  }

  add(namespace: number, key: Uint8Array): void {
    if (!this.#own.has(namespace)) this.#keys.push({ namespace, key })
  }

  /** Looks at a row of the index. */
  see({ key, isHashed, row }: ScanRow): void {
    if (row.isTombstone || (row.flags & flagPinned) === 0) return
    const namespace = key.readUInt16BE(0)
    if (!isHashed) {
      this.add(namespace, key.subarray(namespaceBytes))
      return
    }
    // The whole key is in the record only.
    const place = Buffer.alloc(placeBytes)
    place.writeUInt32LE(row.file, 0)
    place.writeUInt32LE(row.offset, 4)
    place.writeUInt32LE(row.bytes, 8)
    place.writeUInt16LE(namespaceBytes, 12)
    const packed = Buffer.concat([place, key.subarray(0, namespaceBytes)])
    const [found] = binding().describeRows(this.#handle, packed, typeNone)
    if (found !== undefined) this.add(namespace, found.key)
  }

  /** Brings them up, one after the other while nobody else waits for the disk. */
  async run(isStopping: () => boolean): Promise<void> {
    for (const { namespace, key } of this.#keys.splice(0)) {
      while (!isStopping() && !binding().recallKey(this.#handle, namespace, key)) await after(1)
    }
  }
}
