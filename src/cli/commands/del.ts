/** `ramcache del`. */
import type { Command } from '../command.ts'
import { ExitCode } from '../exit-codes.ts'
import { LIVE_HELP, LIVE_OPTIONS, withCache } from '../live.ts'
import { checkCount } from '../offline.ts'

export const delCommand: Command = {
  name: 'del',
  help: `usage: ramcache del KEY... [-s SOCKET | -d DIR] [-n NAMESPACE]

Deletes keys, from every tier, and prints how many there were. Exit code 1 when there was none.

${LIVE_HELP}`,
  options: LIVE_OPTIONS,
  async run(positionals, values, io) {
    checkCount(positionals, 1, Number.POSITIVE_INFINITY, 'a KEY or more')
    const count = await withCache(values, io, (cache) => cache.deleteMany(positionals))
    io.stdout.write(values.json === true ? `${JSON.stringify({ deleted: count })}\n` : `${count}\n`)
    return count > 0 ? ExitCode.done : ExitCode.negative
  },
}
