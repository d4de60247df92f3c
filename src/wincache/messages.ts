/** What goes between a thread that waits and the one that works for it. */
import type { MessagePort } from 'node:worker_threads'
import type { ValidatedWincache } from '../config/wincache-options.ts'

export interface WincacheThreadData {
  readonly port: MessagePort
  /** 0 while a call is under way. */
  readonly word: Int32Array
  readonly options: ValidatedWincache
}

export const isAnswered = 1

export interface Request {
  readonly name: string
  readonly args: readonly unknown[]
}

export type Answer =
  | { readonly value: unknown; readonly message?: undefined }
  | {
      /** Whether it is a `RamcacheError`. */
      readonly isStore: boolean
      readonly code: string | undefined
      readonly message: string
    }
