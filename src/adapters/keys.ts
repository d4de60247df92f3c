/** Keys made of text that others choose, which may be longer than a key may be. */
import { createHash } from 'node:crypto'

/** Longer text is replaced by its hash: a key has 4,096 bytes at most, and something stands before it. */
const textBytesMax = 2048

export function boundedName(text: string): string {
  return Buffer.byteLength(text) <= textBytesMax ? text : `sha256:${hashOf(text)}`
}

export function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}
