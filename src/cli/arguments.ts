/**
 * Arguments to verb, positionals and option values. Options may stand before or after the verb. Parsed by
 * `node:util` `parseArgs`, with errors in our words: what is wrong, and what may have been meant.
 */

import { parseArgs } from 'node:util'
import { type OptionTable, type OptionValues, usageError } from './command.ts'
import { suggestion } from './suggest.ts'

/** Options that every verb takes. */
export const GLOBAL_OPTIONS = {
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean' },
  json: { type: 'boolean' },
  // Only `top` has anything to leave out; accepted so that scripts can say it to every verb.
  'no-color': { type: 'boolean' },
} as const satisfies OptionTable

/** For verbs that talk to a store: spread into their options. Others refuse them. */
export const STORE_OPTIONS = {
  socket: { type: 'string', short: 's' },
  dir: { type: 'string', short: 'd' },
  namespace: { type: 'string', short: 'n' },
} as const satisfies OptionTable

export interface Arguments {
  readonly positionals: readonly string[]
  readonly values: OptionValues
}

/** Index of the verb in the arguments, or -1: the first word that is no option and no value of a shared option. */
export function findVerb(argv: readonly string[]): number {
  const { tokens } = parseArgs({
    args: [...argv],
    options: { ...GLOBAL_OPTIONS, ...STORE_OPTIONS },
    allowPositionals: true,
    strict: false,
    tokens: true,
  })
  return tokens.find((token) => token.kind === 'positional')?.index ?? -1
}

/** @throws CliError with the exit code for usage. */
export function parseArguments(argv: readonly string[], commandOptions: OptionTable): Arguments {
  const config = {
    args: [...argv],
    options: { ...GLOBAL_OPTIONS, ...commandOptions },
    allowPositionals: true,
    strict: false,
    tokens: true,
  } as const
  const { positionals, values, tokens } = parseArgs(config)
  for (const token of tokens) if (token.kind === 'option') checkOption(token, config.options)
  return { positionals, values }
}

interface OptionToken {
  readonly name: string
  /** As typed, dashes included. */
  readonly rawName: string
  readonly value: string | undefined
  /** The value was joined to the name, as in `--sizes=1`. */
  readonly inlineValue: boolean | undefined
}

/** What strict parsing checks too, but in words that no version of Node changes. */
function checkOption({ name, rawName, value, inlineValue }: OptionToken, options: OptionTable): void {
  // Not `in`: every object has a "constructor".
  const option = Object.hasOwn(options, name) ? options[name] : undefined
  if (option === undefined) {
    const known = Object.keys(options).map((known) => `--${known}`)
    throw usageError(`unknown option ${rawName}${suggestion(rawName, known)}`)
  }
  if (option.type === 'boolean') {
    if (value !== undefined) throw usageError(`option ${rawName} takes no value`)
  } else if (value === undefined || (inlineValue === false && value.startsWith('-'))) {
    // A forgotten value must not swallow the next option. `--name=-value` says that it is meant.
    throw usageError(`option ${rawName} needs a value`)
  }
}
