/** `ramcache flush`. */
import type { Command } from '../command.ts'
import { ExitCode } from '../exit-codes.ts'
import { LIVE_HELP, LIVE_OPTIONS, withCache } from '../live.ts'
import { checkCount } from '../offline.ts'

export const flushCommand: Command = {
  name: 'flush',
  help: `usage: ramcache flush [-s SOCKET | -d DIR]

Ends when everything written so far is on disk. Deletes nothing.

${LIVE_HELP}`,
  options: LIVE_OPTIONS,
  async run(positionals, values, io) {
    checkCount(positionals, 0, 0, 'no arguments')
    await withCache(values, io, (cache) => cache.flush())
    if (values.json === true) io.stdout.write('{"flushed":true}\n')
    return ExitCode.done
  },
}
