/** What a verb of the command line is made of, and what it gets to see of the process. */

import type { ParseArgsConfig } from 'node:util'
import { ExitCode } from './exit-codes.ts'

export interface Output {
  /** False when it has enough for now: then `drain` comes. */
  write(data: string | Uint8Array): unknown
  once?(event: 'drain', listener: () => void): unknown
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
  readonly rows?: number | undefined
  on?(event: 'resize', listener: () => void): unknown
  off?(event: 'resize', listener: () => void): unknown
}

/** What data that comes in is, when it comes from a terminal. */
export interface Keyboard {
  readonly isTTY?: boolean | undefined
  setRawMode?(isRaw: boolean): unknown
  on?(event: 'data', listener: (bytes: Uint8Array) => void): unknown
  off?(event: 'data', listener: (bytes: Uint8Array) => void): unknown
  pause?(): unknown
}

/** The outside world, passed in so that tests can watch it. */
export interface CliIo {
  /** Data. */
  readonly stdout: Output
  /** Messages: progress, warnings, errors. */
  readonly stderr: Output
  /** Data that comes in. */
  readonly stdin?: (AsyncIterable<Uint8Array> & Keyboard) | undefined
  readonly env: Readonly<Record<string, string | undefined>>
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number
  /** Aborted when the user asks to stop. */
  readonly signal?: AbortSignal | undefined
}

export type OptionTable = NonNullable<ParseArgsConfig['options']>
export type OptionValues = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>

export interface Command {
  readonly name: string
  /** The help text, usage line first. */
  readonly help: string
  /** Beyond the options that every verb takes. */
  readonly options: OptionTable
  run(positionals: readonly string[], values: OptionValues, io: CliIo): Promise<ExitCode>
}

/** One line of the table of verbs. Loaded only when asked for, so that no verb pays for another. */
export interface CommandEntry {
  readonly name: string
  readonly summary: string
  readonly load: () => Promise<Command>
}

/** An end that was foreseen: shown as one line without a stack. */
export class CliError extends Error {
  override readonly name = 'CliError'
  readonly exitCode: ExitCode

  constructor(exitCode: ExitCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.exitCode = exitCode
  }
}

export function usageError(message: string): CliError {
  return new CliError(ExitCode.usage, message)
}
