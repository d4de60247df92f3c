/** `ramcache get`. */
import type { Command } from '../command.ts'
import { ExitCode } from '../exit-codes.ts'
import { LIVE_HELP, LIVE_OPTIONS, withCache } from '../live.ts'
import { checkCount } from '../offline.ts'
import { jsonOf, writeValue } from '../show.ts'

export const getCommand: Command = {
  name: 'get',
  help: `usage: ramcache get KEY [-s SOCKET | -d DIR] [-n NAMESPACE]

The value: texts and bytes as they are, anything else as JSON. Exit code 1 when there is none.

${LIVE_HELP}  --json            as JSON in any case
`,
  options: LIVE_OPTIONS,
  async run(positionals, values, io) {
    checkCount(positionals, 1, 1, 'one KEY')
    const key = positionals[0] as string
    const entry = await withCache(values, io, (cache) => cache.getEntry(key))
    if (entry === undefined) return ExitCode.negative
    if (values.json === true) io.stdout.write(`${jsonOf(entry.value)}\n`)
    else writeValue(io.stdout, entry.value)
    return ExitCode.done
  },
}
