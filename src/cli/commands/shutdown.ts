/** `ramcache shutdown`. */
import type { Command } from '../command.ts'
import { ExitCode } from '../exit-codes.ts'
import { LIVE_HELP, LIVE_OPTIONS, withOwner } from '../live.ts'
import { checkCount } from '../offline.ts'

export const shutdownCommand: Command = {
  name: 'shutdown',
  help: `usage: ramcache shutdown [-s SOCKET | -d DIR]

Tells the daemon to stop: what was written is brought to disk first. A process that embeds the store refuses.

${LIVE_HELP}`,
  options: LIVE_OPTIONS,
  async run(positionals, values, io) {
    checkCount(positionals, 0, 0, 'no arguments')
    await withOwner(values, io, (call) => call('RC.SHUTDOWN'))
    if (values.json === true) io.stdout.write('{"stopping":true}\n')
    return ExitCode.done
  },
}
