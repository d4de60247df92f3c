/** What the thread that keeps the index and the thread of the HDD tier say to each other, one request at a time each. */
import type { NativeScanned } from '../native/binding.ts'

/** Records of a file of the log, in key order: the thread of the HDD tier reads them out of the log itself. */
export interface SaveRecords {
  readonly kind: 'save'
  readonly file: number
  /** `u32 offset | u32 bytes` for each key. */
  readonly places: Uint8Array
  /** Keys as the index has them, `u16 bytes | key`. */
  readonly keys: Uint8Array
}

export interface DropKeys {
  readonly kind: 'drop'
  readonly drops: readonly { readonly key: Uint8Array; readonly version: bigint }[]
}

/** Entries whose keys begin with `prefix`, from a key on. */
export interface ShowPage {
  readonly kind: 'show'
  readonly prefix: Uint8Array
  readonly from: Uint8Array | undefined
}

/** How much there is. */
export interface CountEntries {
  readonly kind: 'count'
}

/** Adds every key to the copy of the absent filter that is being made. */
export interface AddKeys {
  readonly kind: 'addKeys'
}

/** Removes some of what is coldest and may go for good. */
export interface EvictColdest {
  readonly kind: 'evict'
  /** Their space is wanted now, not when LevelDB comes to it. */
  readonly givesBack: boolean
}

/** Removes what was cleared or has expired. */
export interface SweepDead {
  readonly kind: 'sweep'
}

/** Copies some entries to the LevelDB database in `target`, from a key on. */
export interface CopyPage {
  readonly kind: 'copy'
  readonly target: string
  readonly from: Uint8Array | undefined
}

/** A copy is not gone on with. */
export interface EndCopy {
  readonly kind: 'endCopy'
  readonly target: string
}

/** Checks some entries, from a key on. */
export interface CheckPage {
  readonly kind: 'check'
  /** Namespaces that have a name. */
  readonly names: number
  readonly from: Uint8Array | undefined
}

export interface CloseHdd {
  readonly kind: 'close'
}

export type HddRequest = (
  | SaveRecords
  | DropKeys
  | ShowPage
  | CountEntries
  | AddKeys
  | SweepDead
  | EvictColdest
  | CopyPage
  | EndCopy
  | CheckPage
  | CloseHdd
) & {
  readonly id: number
}

/** An entry met by a scan: the key it lies under, and what lives there, if it does. */
export interface ShownEntry {
  readonly stored: Uint8Array
  readonly scanned: NativeScanned | null
}

export interface ShownPage {
  readonly entries: readonly ShownEntry[]
  readonly next: Uint8Array | undefined
}

export interface CheckedPage {
  readonly entries: number
  readonly bytes: number
  readonly faults: readonly string[]
  readonly next: Uint8Array | undefined
}

export interface HddReply {
  readonly id: number
  /** Of a `show`. */
  readonly page?: ShownPage
  /** Of a `copy`: where the next page begins. */
  readonly next?: Uint8Array | undefined
  /** Of a `check`. */
  readonly checked?: CheckedPage
  /** Of a `count`; how many went, of an `evict`; how many were copied. */
  readonly entries?: number
  /** Of a `count`: of keys and records, as they were saved. */
  readonly bytes?: number
  readonly failure?: { readonly code: string; readonly message: string }
}
