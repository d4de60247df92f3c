/** `ramcache invalidate`. */
import type { Command } from '../command.ts'
import { ExitCode } from '../exit-codes.ts'
import { LIVE_HELP, LIVE_OPTIONS, withCache } from '../live.ts'
import { checkCount } from '../offline.ts'

export const invalidateCommand: Command = {
  name: 'invalidate',
  help: `usage: ramcache invalidate TAG... [-s SOCKET | -d DIR] [-n NAMESPACE]

Removes every entry of a namespace that has one of the tags, from every tier, at once. How many there were nobody counts.

${LIVE_HELP}`,
  options: LIVE_OPTIONS,
  async run(positionals, values, io) {
    checkCount(positionals, 1, Number.POSITIVE_INFINITY, 'a TAG or more')
    await withCache(values, io, (cache) => cache.invalidateTags(positionals))
    if (values.json === true) io.stdout.write(`${JSON.stringify({ invalidated: positionals })}\n`)
    return ExitCode.done
  },
}
