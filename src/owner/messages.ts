/** What the threads of an owner say to each other. */

/** How a thread of the tiers is started. */
export interface TierThreadData {
  /** Directory of the store, which the process has open. */
  readonly dir: string
  /** Directory of the SSD tier: log, names and index. */
  readonly ssdDir: string
  /** Namespaces whose pinned entries must be in RAM before the store is used. */
  readonly pinnedNamespaces: readonly string[]
  readonly syncIntervalMs: number
  readonly fileBytes: number
  readonly reserveBytes: number
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
