/** The writing half of one namespace in one thread. */
import { RamcacheError, show } from '../base/errors.ts'
import { encodeManifest, type Manifest } from '../codec/blob.ts'
import { isWellFormed } from '../codec/key.ts'
import { Purpose } from './answers.ts'
import { translate } from './binding.ts'
import type { Demotion, Durability, Key, Leased, Space, WriteOptions } from './engine.ts'
import { Control, control, Flag } from './scratch.ts'
import { NativeReadSpace, TYPE_BLOB, TYPE_BYTES, TYPE_EXPENDABLE } from './space.ts'
import { encodeTags, putOptions, putVersion, tokenWords } from './write-options.ts'

/** By the numbers of the native part. */
const demotions: readonly Demotion[] = ['absent', 'pinned', 'waits', 'moved']
const leaseStates: readonly Leased['state'][] = ['fresh', 'granted', 'busy', 'paused']

/** Both sides, in the owner. */
export class NativeWriteSpace extends NativeReadSpace implements Space {
  set(key: Key, value: unknown, options?: WriteOptions): string | undefined {
    try {
      if (typeof value === 'string') {
        if (options !== undefined) putOptions(options)
        return this.native().set(key, value)
      }
      // Encoding may itself write a structure, so the control words come after it.
      const { type, bytes } = this.codec.encode(value)
      if (options !== undefined) putOptions(options)
      control[Control.type] = type
      return this.native().set(key, bytes)
    } catch (error) {
      control[Control.flags] = 0
      translate(error)
    }
  }

  async resolve(key: Key): Promise<void> {
    await this.ask(key, Purpose.resolve, () => {})
  }

  setManifest(key: Key, manifest: Manifest, options?: WriteOptions): string {
    try {
      if (options !== undefined) putOptions(options)
      control[Control.type] = TYPE_BLOB
      return this.native().set(key, encodeManifest(manifest)) as string
    } catch (error) {
      control[Control.flags] = 0
      translate(error)
    }
  }

  setExpendable(key: Key, bytes: Uint8Array): void {
    control[Control.type] = TYPE_EXPENDABLE
    try {
      this.native().set(key, bytes)
    } catch (error) {
      translate(error)
    }
  }

  setPinned(key: string, bytes: Uint8Array, ifVersion: string | undefined, ttlMs?: number): boolean {
    // What the store itself pins is in RAM, or nowhere.
    let flags = Flag.pinned | Flag.ramDecides | (ifVersion === undefined ? Flag.ifAbsent : Flag.ifVersion)
    if (ifVersion !== undefined) putVersion(ifVersion)
    if (ttlMs !== undefined) {
      flags |= Flag.ttl
      control[Control.ttl] = ttlMs
    }
    control[Control.flags] = flags
    control[Control.type] = TYPE_BYTES
    try {
      return this.native().set(key, bytes) !== undefined
    } catch (error) {
      translate(error)
    }
  }

  setMany(entries: Iterable<readonly [Key, unknown]>, options?: WriteOptions): void {
    const parts: Uint8Array[] = []
    for (const [key, value] of entries) parts.push(...this.#pack(key, value))
    try {
      if (options !== undefined) putOptions(options)
      this.native().setMany(Buffer.concat(parts))
    } catch (error) {
      control[Control.flags] = 0
      translate(error)
    }
  }

  #pack(key: Key, value: unknown): Uint8Array[] {
    if (typeof key === 'string' && !isWellFormed(key)) {
      throw new RamcacheError(
        'ERR_RAMCACHE_KEY',
        `key ${show(key)} has a lone surrogate: it has no UTF-8 form`,
      )
    }
    const keyBytes = typeof key === 'string' ? Buffer.from(key) : key
    if (keyBytes.length > 0xffff) {
      throw new RamcacheError('ERR_RAMCACHE_KEY', `key of ${keyBytes.length} bytes, the limit is 4096 bytes`)
    }
    const { type, bytes } = this.codec.encode(value)
    const head = Buffer.alloc(8)
    head.writeUInt16LE(keyBytes.length, 0)
    head.writeUInt8(type, 2)
    head.writeUInt32LE(bytes.length, 4)
    // The codec reuses its memory for the next value.
    return [head, keyBytes, Uint8Array.from(bytes)]
  }

  delete(key: Key, ifVersion?: string): boolean {
    try {
      if (ifVersion !== undefined) {
        putVersion(ifVersion)
        control[Control.flags] = Flag.ifVersion
      }
      return this.native().delete(key)
    } catch (error) {
      control[Control.flags] = 0
      translate(error)
    }
  }

  discard(key: Key): void {
    control[Control.flags] = Flag.blind
    try {
      this.native().delete(key)
    } catch (error) {
      control[Control.flags] = 0
      translate(error)
    }
  }

  touch(key: Key, ttlMs: number | undefined): boolean {
    try {
      return this.native().touch(key, ttlMs ?? 0)
    } catch (error) {
      translate(error)
    }
  }

  pin(key: Key, isPinned: boolean): boolean {
    try {
      return this.native().pin(key, isPinned ? 1 : 0)
    } catch (error) {
      translate(error)
    }
  }

  demote(key: Key): Demotion {
    try {
      return demotions[this.native().demote(key)] as Demotion
    } catch (error) {
      translate(error)
    }
  }

  incr(key: Key, by: number, init?: number, ttlMs?: number, durability?: Durability): number {
    let flags = durability === 'none' ? Flag.volatile : 0
    if (init !== undefined) {
      flags |= Flag.init
      control[Control.init] = init
    }
    if (ttlMs !== undefined) {
      flags |= Flag.ttl
      control[Control.ttl] = ttlMs
    }
    control[Control.flags] = flags
    let sum: number | undefined
    try {
      sum = this.native().incr(key, by)
    } catch (error) {
      control[Control.flags] = 0
      translate(error)
    }
    if (sum !== undefined) return sum
    const message = `${show(key)} is missing; give { init } to create it`
    throw new RamcacheError('ERR_RAMCACHE_NOT_INTEGER', message)
  }

  lease(key: Key, leaseMs: number, refreshes: boolean): Leased {
    try {
      const [state, token, stale] = this.native().lease(key, leaseMs, refreshes ? 1 : 0)
      return { state: leaseStates[state] as Leased['state'], token, stale: this.entryOf(key, stale) }
    } catch (error) {
      translate(error)
    }
  }

  abandon(key: Key, token: string, pauseMs: number): boolean {
    try {
      return this.native().abandon(key, ...tokenWords(token), pauseMs)
    } catch (error) {
      translate(error)
    }
  }

  invalidateTags(tags: readonly string[]): void {
    const encoded = encodeTags(tags)
    try {
      this.native().invalidate(encoded)
    } catch (error) {
      translate(error)
    }
  }

  clear(): void {
    try {
      this.native().clear()
    } catch (error) {
      translate(error)
    }
  }
}
