/**
 * What an export consists of, whatever its form. An entry is one item; a blob is a head, its chunks and an end, so that
 * neither side ever has more than a chunk of it.
 */

/** What is known of an entry beside its value. Times are milliseconds since 1970. */
export interface KeptHead {
  readonly namespace: string
  /** As bytes, which need not be UTF-8. */
  readonly key: Buffer
  readonly version: string
  readonly createdAt: number
  /** 0 = never. */
  readonly expiresAt: number
  /** Sliding expiry; 0 = none. */
  readonly idleMs: number
  /** When a sliding entry ends at the latest; 0 = never. */
  readonly deadline: number
  readonly tags: readonly string[]
}

export type Item =
  | { readonly kind: 'entry'; readonly head: KeptHead; readonly value: unknown; readonly size: number }
  | { readonly kind: 'blob'; readonly head: KeptHead; readonly totalBytes: number }
  | { readonly kind: 'chunk'; readonly bytes: Buffer }
  /** All of a blob has come. */
  | { readonly kind: 'end'; readonly totalBytes: number }
  /** Its bytes were gone before they could be read: what came of it does not count. */
  | { readonly kind: 'lost' }

/** Items that were checked together: all of them are good. */
export interface Batch {
  readonly items: readonly Item[]
  /** For messages: where in the input it begins, `line 7` or `offset 4096`. */
  readonly place: string
  /** Where each item is. */
  readonly places: readonly string[]
}

/** Turns items into bytes. What it returns is written at once. */
export interface Packer {
  begin(): Buffer
  /** A batch, when this item completes one. */
  add(item: Item): Buffer | undefined
  /** What is left, and the mark that nothing is missing. */
  finish(): Buffer
}

/** A batch is packed when it has this much: small enough to hold, large enough that its checks cost nothing. */
export const batchBytes = 256 * 1024
