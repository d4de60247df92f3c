/** `ramcache slow`. */
import { askSlow, forgetSlow, type SlowCommand } from '../../cache/questions.ts'
import type { Command } from '../command.ts'
import { usageError } from '../command.ts'
import { ExitCode } from '../exit-codes.ts'
import { LIVE_HELP, LIVE_OPTIONS, withOwner } from '../live.ts'
import { checkCount, wholeNumber } from '../offline.ts'
import { durationText } from '../show.ts'

const countUsual = 20
/** As CONFIG SET slowlog-max-len takes. */
const countMost = 100_000
/** Of a command, in a line. */
const commandColumns = 80
const durationColumns = 8

export const slowCommand: Command = {
  name: 'slow',
  help: `usage: ramcache slow [--limit N] [--reset] [-s SOCKET | -d DIR]

Commands over the socket that ran for 10 ms or longer, the newest first: the time they ran, without that which they waited
for a lower tier or for JavaScript. The server keeps 128 of them, until it ends; CONFIG SET slowlog-log-slower-than (µs)
and slowlog-max-len change both. Exit code 1 when there is none, 69 when nobody has the store open.

  --limit N         how many; by default ${countUsual}
  --reset           forgets them instead
  --json            one object for each: id, at (ms since 1970), us, command, client
${LIVE_HELP}`,
  options: { ...LIVE_OPTIONS, limit: { type: 'string' }, reset: { type: 'boolean' } },
  async run(positionals, values, io) {
    checkCount(positionals, 0, 0, 'no arguments')
    const limit = wholeNumber(values.limit, '--limit', countUsual, 1, countMost)
    if (values.reset === true) {
      if (values.limit !== undefined) throw usageError('--reset forgets all of them: it takes no --limit')
      await withOwner(values, io, (_, cache) => forgetSlow(cache))
      if (values.json === true) io.stdout.write('{"reset":true}\n')
      return ExitCode.done
    }
    const found = await withOwner(values, io, (_, cache) => askSlow(cache, limit))
    if (values.json === true) for (const command of found) io.stdout.write(`${JSON.stringify(command)}\n`)
    else if (found.length > 0) io.stdout.write(slowText(found))
    return found.length > 0 ? ExitCode.done : ExitCode.negative
  },
}

function slowText(commands: readonly SlowCommand[]): string {
  const lines = commands.map(({ at, us, command, client }) => {
    const words = `${client === '' ? '' : `[${client}] `}${command.map(shown).join(' ')}`
    const ran = durationText(us / 1000).padStart(durationColumns)
    return `${new Date(at).toISOString()}  ${ran}  ${words.slice(0, commandColumns)}\n`
  })
  return lines.join('')
}

/** Without line ends and escapes: an argument is somebody else's. */
function shown(word: string): string {
  return /^[\x21-\x7e]+$/.test(word) ? word : JSON.stringify(word)
}
