/** One namespace of the arena of another process: reads, and what somebody needs who asks that process for the rest. */
import { RamcacheError } from '../base/errors.ts'
import type { Encoded } from '../codec/value.ts'
import { Cold, Control, control } from './scratch.ts'
import { NativeReadSpace } from './space.ts'

export class AttachedSpace extends NativeReadSpace {
  /** Right after a read: what there is to do now, one of `Cold`. Said once: what the near cache answers, says nothing. */
  takeAfterRead(): number {
    const after = control[Control.cold] as number
    control[Control.cold] = Cold.no
    return after
  }

  /** Even before and after some reads: they saw every group whole or not at all. */
  group(): number {
    return this.native().group()
  }

  /** Takes back the miss of a read that the owner was asked for as well, and counted. */
  takeBackMiss(): void {
    this.native().settle(0)
  }

  /** The same for the hit of a read that slides. */
  takeBackHit(): void {
    this.native().settle(3)
  }

  /** For the owner. What is encoded with structures the owner has not got yet is not: they are proposed to it. */
  encode(value: unknown): Encoded {
    return this.codec.encode(value)
  }

  /** Good without any table: for when there is none to be had. */
  encodeSelfContained(value: unknown): Encoded {
    if (this.codec.encodeSelfContained !== undefined) return this.codec.encodeSelfContained(value)
    throw new RamcacheError('ERR_RAMCACHE_VALUE', 'a namespace of the store itself holds bytes only')
  }

  /** A value as the owner sent it, as `get` returns it. */
  decode(type: number, bytes: Buffer): unknown {
    return this.codec.decode(type, bytes, 0, bytes.length)
  }

  /** The same as `getEntry` returns it: of a blob its manifest. */
  decodeEntry(type: number, bytes: Buffer): unknown {
    return this.entryValue(type, Buffer.from(bytes))
  }
}
