/** `ramcache big`. */
import type { EntryInfo } from '../../index.ts'
import type { Command } from '../command.ts'
import { usageError } from '../command.ts'
import { ExitCode } from '../exit-codes.ts'
import { LIVE_HELP, LIVE_OPTIONS, withCache } from '../live.ts'
import { checkCount, sizeOf, text } from '../offline.ts'
import { table } from '../show.ts'

const countDefault = 20

export const bigCommand: Command = {
  name: 'big',
  help: `usage: ramcache big [PATTERN] [--limit N] [-s SOCKET | -d DIR] [-n NAMESPACE]

The largest entries, by bytes of key and value; looks at all of them.

  --limit N         how many; by default ${countDefault}
${LIVE_HELP}`,
  options: { ...LIVE_OPTIONS, limit: { type: 'string' } },
  async run(positionals, values, io) {
    checkCount(positionals, 0, 1, 'at most one PATTERN')
    const count = Number(text(values.limit) ?? countDefault)
    if (!Number.isInteger(count) || count < 1) {
      throw usageError(`--limit takes a whole number from 1 on, not ${text(values.limit)}`)
    }
    const [match] = positionals
    const largest: EntryInfo[] = []
    await withCache(values, io, async (cache) => {
      for await (const entry of cache.scan(match === undefined ? {} : { match })) {
        const last = largest[count - 1]
        if (last !== undefined && last.size >= entry.size) continue
        largest.push(entry)
        largest.sort((left, right) => right.size - left.size)
        largest.length = Math.min(largest.length, count)
      }
    })
    if (values.json === true) for (const entry of largest) io.stdout.write(`${JSON.stringify(entry)}\n`)
    else {
      const rows = largest.map(({ key, size, tier }) => [key, sizeOf(size), tier])
      io.stdout.write(table(['key', 'size', 'tier'], rows))
    }
    return largest.length > 0 ? ExitCode.done : ExitCode.negative
  },
}
