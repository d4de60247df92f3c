/**
 * Values on their way between a thread and the one that works for it. What `postMessage` would change (a Buffer, an object
 * of a class) goes as the bytes it is stored as; so what cannot be stored is refused before it leaves.
 */
import { ValueCodec } from '../codec/value.ts'

export type Packed =
  | string
  | number
  | boolean
  | bigint
  | null
  | { readonly type: number; readonly bytes: Uint8Array }

const codec = new ValueCodec()

/** Throws ERR_RAMCACHE_VALUE. */
export function pack(value: unknown): Packed {
  const { type, bytes } = codec.encodeSelfContained(value)
  if (typeof value === 'object' && value !== null) return { type, bytes: Uint8Array.from(bytes) }
  return value as Packed
}

export function unpack(packed: Packed): unknown {
  if (typeof packed !== 'object' || packed === null) return packed
  const { type, bytes } = packed
  return codec.decode(type, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), 0, bytes.length)
}
