/** What the thread that keeps the index shows to those who work on what it keeps. */
import type { LogIndex } from '../tiers/log-index.ts'
import type { DrainHold } from './drain-hold.ts'
import type { HddLink } from './hdd-link.ts'

export interface Keeper {
  readonly index: LogIndex
  readonly dir: string
  readonly ssdDir: string
  readonly hddDir: string | undefined
  readonly hdd: HddLink | undefined
  readonly hold: DrainHold
  /** Everything written before the call is in the log, the log is synced, and the index has it. */
  checkpoint(): Promise<void>
  /** Whether the store is being closed. */
  isStopping(): boolean
}
