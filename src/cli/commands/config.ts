/** `ramcache config`: what a daemon would be started with, and why. */
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { changedConfig, configFileName, readConfigFile } from '../../config/config-file.ts'
import type { CliIo, Command, OptionValues } from '../command.ts'
import { usageError } from '../command.ts'
import { ExitCode } from '../exit-codes.ts'
import { foreseen, text } from '../offline.ts'
import { CONFIG_OPTIONS, configOf } from './serve.ts'

export const configCommand: Command = {
  name: 'config',
  help: `usage: ramcache config check [options of serve]
       ramcache config get [KEY] [options of serve]
       ramcache config set KEY VALUE [--config FILE]

check  reads the configuration as serve would, and says what is wrong with it (exit code 78)
get    every value with where it comes from, or the value of one KEY (memory, tiers.ssd.path); exit code 1 when it has none
set    changes one value in the file (by default ./ramcache.json), keeping comments; VALUE is JSON, or else a text

  --json   get: one object by key, with value and origin
`,
  options: CONFIG_OPTIONS,
  run([verb, ...rest], values, io) {
    return foreseen(io, async () => {
      if (verb === 'check' && rest.length === 0) return check(values, io)
      if (verb === 'get' && rest.length <= 1) return get(rest[0], values, io)
      if (verb === 'set' && rest.length === 2) return set(rest[0] as string, rest[1] as string, values, io)
      throw usageError('it takes check, get [KEY], or set KEY VALUE')
    })
  },
}

function check(values: OptionValues, io: CliIo): ExitCode {
  const { file } = configOf(values, io)
  if (values.json === true) io.stdout.write(`${JSON.stringify({ file: file ?? null, isSound: true })}\n`)
  else io.stdout.write(`${file ?? 'no file'}: sound\n`)
  return ExitCode.done
}

function get(key: string | undefined, values: OptionValues, io: CliIo): ExitCode {
  const { settings } = configOf(values, io)
  if (key !== undefined) {
    const setting = settings.get(key)
    if (setting === undefined) return ExitCode.negative
    const shown = typeof setting.value === 'string' ? setting.value : JSON.stringify(setting.value)
    io.stdout.write(values.json === true ? `${JSON.stringify(setting)}\n` : `${shown}\n`)
    return ExitCode.done
  }
  const entries = [...settings].sort(([left], [right]) => (left < right ? -1 : 1))
  if (values.json === true) {
    io.stdout.write(`${JSON.stringify(Object.fromEntries(entries))}\n`)
    return ExitCode.done
  }
  for (const [name, { value, origin }] of entries) {
    io.stdout.write(`${name} = ${JSON.stringify(value)}  (${origin})\n`)
  }
  return ExitCode.done
}

function set(key: string, value: string, values: OptionValues, io: CliIo): ExitCode {
  const path = resolve(text(values.config) ?? io.env.RAMCACHE_CONFIG ?? configFileName)
  const before = existsSync(path) ? readFileSync(path, 'utf8') : ''
  const changed = changedConfig(before, key, parsed(value))
  const temporary = `${path}.new`
  writeFileSync(temporary, changed)
  try {
    // A file that a daemon would refuse must not take the place of one that it takes.
    readConfigFile(temporary)
    configOf({ dir: '.', ...values, config: temporary }, io)
    renameSync(temporary, path)
  } finally {
    rmSync(temporary, { force: true })
  }
  io.stderr.write(`${path}: ${key} = ${JSON.stringify(parsed(value))}\n`)
  return ExitCode.done
}

function parsed(value: string): unknown {
  try {
    return JSON.parse(value)
  } catch {
    return value
  }
}
