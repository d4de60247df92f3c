/** From arguments to an exit code. Knows the table of verbs, nothing of what they do. */

import { readFileSync } from 'node:fs'
import { findVerb, parseArguments } from './arguments.ts'
import { CliError, type CliIo, type CommandEntry, usageError } from './command.ts'
import { ExitCode } from './exit-codes.ts'
import { suggestion } from './suggest.ts'

export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'serve',
    summary: 'the daemon: owns a store and serves it on a socket',
    load: async () => (await import('./commands/serve.ts')).serveCommand,
  },
  {
    name: 'config',
    summary: 'what the daemon would be started with, and where each value comes from',
    load: async () => (await import('./commands/config.ts')).configCommand,
  },
  {
    name: 'stats',
    summary: 'hits, misses, tiers, latency; --watch, --prometheus',
    load: async () => (await import('./commands/stats.ts')).statsCommand,
  },
  {
    name: 'top',
    summary: 'what happens in a store, again and again',
    load: async () => (await import('./commands/top.ts')).topCommand,
  },
  {
    name: 'tiers',
    summary: 'what lies where, and what moves',
    load: async () => (await import('./commands/tiers.ts')).tiersCommand,
  },
  {
    name: 'inspect',
    summary: 'why a key is where it is',
    load: async () => (await import('./commands/inspect.ts')).inspectCommand,
  },
  {
    name: 'scan',
    summary: 'keys, by pattern and tier',
    load: async () => (await import('./commands/scan.ts')).scanCommand,
  },
  {
    name: 'big',
    summary: 'the largest entries',
    load: async () => (await import('./commands/big.ts')).bigCommand,
  },
  {
    name: 'hot',
    summary: 'the keys that are read most',
    load: async () => (await import('./commands/hot.ts')).hotCommand,
  },
  {
    name: 'slow',
    summary: 'commands that ran long',
    load: async () => (await import('./commands/slow.ts')).slowCommand,
  },
  {
    name: 'latency',
    summary: 'round trips from here, and how long commands run',
    load: async () => (await import('./commands/latency.ts')).latencyCommand,
  },
  {
    name: 'get',
    summary: 'a value',
    load: async () => (await import('./commands/get.ts')).getCommand,
  },
  {
    name: 'set',
    summary: 'stores a value',
    load: async () => (await import('./commands/set.ts')).setCommand,
  },
  {
    name: 'del',
    summary: 'deletes keys',
    load: async () => (await import('./commands/del.ts')).delCommand,
  },
  {
    name: 'ttl',
    summary: 'when a key expires, or makes it expire',
    load: async () => (await import('./commands/ttl.ts')).ttlCommand,
  },
  {
    name: 'incr',
    summary: 'adds to a counter',
    load: async () => (await import('./commands/incr.ts')).incrCommand,
  },
  {
    name: 'invalidate',
    summary: 'removes all entries that have a tag',
    load: async () => (await import('./commands/invalidate.ts')).invalidateCommand,
  },
  {
    name: 'pin',
    summary: 'keeps entries in RAM, or lets them go',
    load: async () => (await import('./commands/pin.ts')).pinCommand,
  },
  {
    name: 'promote',
    summary: 'brings entries up to RAM',
    load: async () => (await import('./commands/promote.ts')).promoteCommand,
  },
  {
    name: 'demote',
    summary: 'takes entries out of RAM',
    load: async () => (await import('./commands/demote.ts')).demoteCommand,
  },
  {
    name: 'flush',
    summary: 'everything written is on disk when it ends',
    load: async () => (await import('./commands/flush.ts')).flushCommand,
  },
  {
    name: 'ping',
    summary: 'whether the owner answers',
    load: async () => (await import('./commands/ping.ts')).pingCommand,
  },
  {
    name: 'shutdown',
    summary: 'tells a daemon to stop',
    load: async () => (await import('./commands/shutdown.ts')).shutdownCommand,
  },
  {
    name: 'bench',
    summary: 'a small load, and how fast it is answered',
    load: async () => (await import('./commands/bench.ts')).benchCommand,
  },
  {
    name: 'replay',
    summary: 'miss ratios of the store and of exact policies over cache traces',
    load: async () => (await import('./commands/replay.ts')).replayCommand,
  },
  {
    name: 'export',
    summary: 'all entries of a store, as lines of JSON or in a binary form',
    load: async () => (await import('./commands/export.ts')).exportCommand,
  },
  {
    name: 'import',
    summary: 'entries of an export into a store',
    load: async () => (await import('./commands/import.ts')).importCommand,
  },
  {
    name: 'backup',
    summary: 'a copy of the files of a store',
    load: async () => (await import('./commands/backup.ts')).backupCommand,
  },
  {
    name: 'restore',
    summary: 'a store from a backup',
    load: async () => (await import('./commands/restore.ts')).restoreCommand,
  },
  {
    name: 'verify',
    summary: 'checks everything a store has on disk',
    load: async () => (await import('./commands/verify.ts')).verifyCommand,
  },
  {
    name: 'doctor',
    summary: 'what is wrong with a directory, and what to do',
    load: async () => (await import('./commands/doctor.ts')).doctorCommand,
  },
  {
    name: 'completion',
    summary: 'a script that completes all of this in a shell',
    load: async () => (await import('./commands/completion.ts')).createCompletionCommand(COMMANDS),
  },
]

/** Never rejects for a foreseen trouble: says it in one line on stderr and returns its code. */
export async function run(
  argv: readonly string[],
  io: CliIo,
  commands: readonly CommandEntry[] = COMMANDS,
): Promise<ExitCode> {
  const verbIndex = findVerb(argv)
  const verb = verbIndex < 0 ? undefined : argv[verbIndex]
  try {
    if (verb === undefined) return runWithoutVerb(argv, io, commands)
    const rest = argv.toSpliced(verbIndex, 1)
    if (verb === 'help') return await showHelp(rest[0], io, commands)
    const command = await findCommand(verb, commands).load()
    const { positionals, values } = parseArguments(rest, command.options)
    if (values.help === true) {
      io.stdout.write(command.help)
      return ExitCode.done
    }
    if (values.version === true) return showVersion(io)
    return await command.run(positionals, values, io)
  } catch (error) {
    return report(error, verb, io)
  }
}

function runWithoutVerb(argv: readonly string[], io: CliIo, commands: readonly CommandEntry[]): ExitCode {
  const { values } = parseArguments(argv, {})
  if (values.version === true) return showVersion(io)
  if (values.help === true) {
    io.stdout.write(overview(commands))
    return ExitCode.done
  }
  io.stderr.write(overview(commands))
  return ExitCode.usage
}

function findCommand(verb: string, commands: readonly CommandEntry[]): CommandEntry {
  const entry = commands.find(({ name }) => name === verb)
  if (entry !== undefined) return entry
  const known = [...commands.map(({ name }) => name), 'help']
  throw usageError(`unknown verb ${verb}${suggestion(verb, known)}`)
}

async function showHelp(
  verb: string | undefined,
  io: CliIo,
  commands: readonly CommandEntry[],
): Promise<ExitCode> {
  io.stdout.write(verb === undefined ? overview(commands) : (await findCommand(verb, commands).load()).help)
  return ExitCode.done
}

function showVersion(io: CliIo): ExitCode {
  // Two directories up from src/cli and from dist/cli alike.
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  io.stdout.write(`${manifest.version}\n`)
  return ExitCode.done
}

function overview(commands: readonly CommandEntry[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length))
  const lines = commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}\n`)
  return `usage: ramcache VERB [ARGUMENTS] [--json]\n\n${lines.join('')}\nramcache help VERB says more; ramcache --version prints the version.\n`
}

function report(error: unknown, verb: string | undefined, io: CliIo): ExitCode {
  if (io.signal?.aborted === true && error === io.signal.reason) return ExitCode.interrupted
  if (!(error instanceof CliError)) throw error
  const who = verb === undefined ? 'ramcache' : `ramcache ${verb}`
  const hint = error.exitCode === ExitCode.usage ? ' (--help says more)' : ''
  io.stderr.write(`${who}: ${error.message}${hint}\n`)
  return error.exitCode
}
