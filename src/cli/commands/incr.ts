/** `ramcache incr`. */
import type { Command } from '../command.ts'
import { usageError } from '../command.ts'
import { ExitCode } from '../exit-codes.ts'
import { LIVE_HELP, LIVE_OPTIONS, withCache } from '../live.ts'
import { checkCount } from '../offline.ts'

export const incrCommand: Command = {
  name: 'incr',
  help: `usage: ramcache incr KEY [BY] [-s SOCKET | -d DIR] [-n NAMESPACE]

Adds BY, by default 1, to a counter that begins at 0, and prints the sum. A negative BY stands behind --.

${LIVE_HELP}`,
  options: LIVE_OPTIONS,
  async run(positionals, values, io) {
    checkCount(positionals, 1, 2, 'KEY, and perhaps BY')
    const [key, by = '1'] = positionals as [string, string?]
    if (!/^-?\d+$/.test(by)) throw usageError(`BY must be a whole number, not ${by}`)
    const sum = await withCache(values, io, (cache) => cache.incr(key, Number(by), { init: 0 }))
    io.stdout.write(values.json === true ? `${JSON.stringify({ value: sum })}\n` : `${sum}\n`)
    return ExitCode.done
  },
}
