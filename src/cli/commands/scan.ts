/** `ramcache scan`. */
import type { ScanOptions } from '../../index.ts'
import type { Command } from '../command.ts'
import { usageError } from '../command.ts'
import { ExitCode } from '../exit-codes.ts'
import { LIVE_HELP, LIVE_OPTIONS, withCache } from '../live.ts'
import { checkCount, sizeOf, text } from '../offline.ts'

export const scanCommand: Command = {
  name: 'scan',
  help: `usage: ramcache scan [PATTERN] [--tier ram|ssd|hdd] [--limit N] [--long] [-s SOCKET | -d DIR] [-n NAMESPACE]

The keys that match PATTERN (*, ?, [a-z]), in no particular order.

  --tier TIER       only of this tier
  --limit N         end after so many
  --long            tier, size and expiry too
  --json            one object for each, with everything known of it
${LIVE_HELP}`,
  options: {
    ...LIVE_OPTIONS,
    tier: { type: 'string' },
    limit: { type: 'string' },
    long: { type: 'boolean', short: 'l' },
  },
  async run(positionals, values, io) {
    checkCount(positionals, 0, 1, 'at most one PATTERN')
    const [match] = positionals
    const limit = text(values.limit)
    if (limit !== undefined && !/^[1-9]\d*$/.test(limit)) {
      throw usageError(`--limit takes a whole number from 1 on, not ${limit}`)
    }
    const options: ScanOptions = {
      ...(match === undefined ? {} : { match }),
      ...(values.tier === undefined ? {} : { tier: values.tier as 'ram' }),
      ...(limit === undefined ? {} : { limit: Number(limit) }),
      ...(io.signal === undefined ? {} : { signal: io.signal }),
    }
    let count = 0
    await withCache(values, io, async (cache) => {
      for await (const entry of cache.scan(options)) {
        count++
        if (values.json === true) io.stdout.write(`${JSON.stringify(entry)}\n`)
        else if (values.long !== true) io.stdout.write(`${entry.key}\n`)
        else {
          const { tier, size, expiresAt, key } = entry
          const until = expiresAt === undefined ? 'never' : new Date(expiresAt).toISOString()
          io.stdout.write(`${tier}  ${sizeOf(size).padStart(10)}  ${until.padStart(24)}  ${key}\n`)
        }
      }
    })
    return count > 0 ? ExitCode.done : ExitCode.negative
  },
}
