/**
 * What a schedule drives: the model, or a real store behind the same face. A subject takes operations, answers them,
 * and can be crashed between any two steps; whether its answers may be given is the oracle's business alone.
 */

export type Key = string
export type Durability = 'none' | 'async' | 'sync'
export type CrashKind = 'kill' | 'power'

/** Values are whole numbers, each written once in a schedule, so that a read names the write it saw. */
export type Value = number

/** What a read returns when the words it copied do not belong together. */
export const TORN: Value = -1

/** Keys with this prefix live in the remote tier alone: written there by others, read through the store. */
export const REMOTE_PREFIX = 'r'

/** How far past the highest time seen the persisted clock ceiling lies, in ms; the oracle allows a restart that jump. */
export const CEILING_AHEAD_MS = 4

export interface Draft {
  readonly key: Key
  readonly value: Value
  readonly ttlMs: number | undefined
  readonly tags: readonly string[]
  readonly durability: Durability
}

/** Background work a schedule asks for by name; a store that does it by itself may ignore the request. */
export type Move = 'write' | 'checkpoint' | 'evict' | 'drain' | 'sweep' | 'split' | 'rebuildFilter'

export type Operation =
  | ({ readonly kind: 'set' } & Draft)
  | ({ readonly kind: 'add' } & Draft)
  | { readonly kind: 'delete'; readonly key: Key; readonly durability: Durability }
  | { readonly kind: 'touch'; readonly key: Key; readonly ttlMs: number }
  | {
      readonly kind: 'setMany'
      readonly keys: readonly Key[]
      readonly values: readonly Value[]
      readonly durability: Durability
    }
  | { readonly kind: 'get'; readonly key: Key; readonly promote: boolean }
  | { readonly kind: 'near'; readonly key: Key; readonly client: number }
  | { readonly kind: 'getMany'; readonly keys: readonly Key[] }
  | { readonly kind: 'lease'; readonly key: Key; readonly lease: number; readonly tags: readonly string[] }
  | ({ readonly kind: 'fill'; readonly lease: number } & Draft)
  | { readonly kind: 'invalidateTag'; readonly tag: string; readonly durability: Durability }
  | { readonly kind: 'clear'; readonly durability: Durability }
  | { readonly kind: 'remotePut'; readonly key: Key; readonly value: Value }
  | { readonly kind: 'flush' }
  /** `choice` settles what is left open: which records count as touched, whether a checkpoint is synced. */
  | { readonly kind: 'move'; readonly move: Move; readonly choice: number }
  /** Moves the wall clock, back as well. It is seen by the owner before the next operation starts. */
  | { readonly kind: 'advance'; readonly ms: number }

export type Reply =
  | { readonly kind: 'done' }
  | { readonly kind: 'version'; readonly version: number }
  | { readonly kind: 'value'; readonly value: Value | undefined }
  | { readonly kind: 'values'; readonly values: readonly (Value | undefined)[] }
  | { readonly kind: 'flag'; readonly flag: boolean }

/** Yielded by a step that could not go on: another task has to move first. */
export const WAITING = 'waiting'

/** One operation under way. Each `next()` does one step and names it. */
export type Steps<Result = void> = Generator<string, Result, void>

export interface Subject {
  /**
   * Begins an operation. A store whose steps are not in the driver's hands starts it at the first `next()` and yields
   * `WAITING` until its promise has settled.
   */
  begin(operation: Operation): Steps<Reply>
  /** Ends every process of the store (`kill`), or the machine's power. Operations under way are never stepped again. */
  crash(kind: CrashKind): void
  /** Takes over the arena, or starts from the disks. It can be crashed like anything else, and is then begun anew. */
  recover(): Steps
  /** Walks the whole structure at rest and says what is wrong with it. */
  check(): string[]
}
