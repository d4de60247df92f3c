/** What the threads of an owner say to each other. */
import { realpathSync } from 'node:fs'
import type { ValidatedNamespace } from '../config/open-options.ts'
import type { NativeScanned } from '../native/binding.ts'

/** How a thread of the tiers is started. */
export interface TierThreadData {
  /** Directory of the store, which the process has open. */
  readonly dir: string
  /** Directory of the SSD tier: log, names and index. */
  readonly ssdDir: string
  /** Space to be left free on its file system, and what it may take; default by the file system, and no limit. */
  readonly ssdFloorBytes: number | undefined
  readonly ssdBudgetBytes: number | undefined
  /** Directory of the HDD tier, if there is one. */
  readonly hddDir: string | undefined
  readonly hddFloorBytes: number | undefined
  readonly hddBudgetBytes: number | undefined
  /** Bytes of background movement in a second; default by the drain. */
  readonly ssdIoBudget: number | undefined
  readonly hddIoBudget: number | undefined
  /** What was in RAM comes up again after a start. */
  readonly warms: boolean
  /** Namespaces whose pinned entries must be in RAM before the store is used. */
  readonly pinnedNamespaces: readonly string[]
  readonly syncIntervalMs: number
  readonly fileBytes: number
  readonly reserveBytes: number
}

/** How the thread is started that answers clients of the socket. */
export interface ControlThreadData {
  readonly dir: string
  readonly namespaces: Readonly<Record<string, ValidatedNamespace>>
  readonly isDaemon: boolean
  /** Clients may end it. */
  readonly canEnd: boolean
  /** When the store was opened, in milliseconds since 1970. */
  readonly startedMs: number
}

/** From that thread: a client wants the owner to end. */
export interface FromControl {
  readonly kind: 'shutdown'
}

export interface PinnedKey {
  readonly namespace: string
  readonly key: string
}

/** From the thread that keeps the index: when it has started, and when it has stopped. */
export type FromKeeper =
  | {
      readonly kind: 'started'
      /** Pinned entries, wherever they lie. */
      readonly pinned: readonly PinnedKey[]
      readonly warnings: readonly string[]
    }
  | { readonly kind: 'stopped' }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string }

/** To the thread that keeps the index: finish and end. */
export interface Stop {
  readonly kind: 'stop'
}

/** To a thread that answers cold reads: the store has its tiers. */
export interface Serve {
  readonly kind: 'serve'
}

/** Its answer: it has opened the index, or tried to. */
export interface Serving {
  readonly kind: 'serving'
}

/** To the thread that keeps the index, from any thread of the process: one page of a scan. */
export interface ScanRequest {
  readonly kind: 'scan'
  /** Answers go to everybody: whose this one is. */
  readonly id: string
  readonly namespace: string
  readonly prefix: Uint8Array
  /** Where the page before ended; the first one begins with a checkpoint. */
  readonly from: Uint8Array | undefined
}

export interface ScanReply {
  readonly kind: 'page'
  readonly id: string
  readonly entries: readonly NativeScanned[]
  readonly next: Uint8Array | undefined
  readonly failure?: { readonly code: string; readonly message: string }
  /** There will be no other answer to anybody. */
  readonly isForAll?: boolean
}

/** The channel of a store: only its keeper takes requests, only who asked takes a reply. */
export function channelName(dir: string): string {
  return `ramcache ${realpathSync(dir)}`
}
