/** `ramcache tiers`. */
import type { Command } from '../command.ts'
import { ExitCode } from '../exit-codes.ts'
import { LIVE_HELP, LIVE_OPTIONS, withCache } from '../live.ts'
import { checkCount, sizeOf } from '../offline.ts'
import { percent, table } from '../show.ts'

export const tiersCommand: Command = {
  name: 'tiers',
  help: `usage: ramcache tiers [-s SOCKET | -d DIR]

What lies where, which tier answers, and what moves between them.

${LIVE_HELP}`,
  options: LIVE_OPTIONS,
  async run(positionals, values, io) {
    checkCount(positionals, 0, 0, 'no arguments')
    const { tiers, hits } = await withCache({ ...values, namespace: undefined }, io, (cache) => cache.stats())
    if (values.json === true) {
      io.stdout.write(`${JSON.stringify(tiers)}\n`)
      return ExitCode.done
    }
    const { ram, ssd, hdd } = tiers
    const share = (count: number) => percent(hits === 0 ? 0 : count / hits)
    const rows = [
      ['ram', ram, 0, ram.evictions],
      ['ssd', ssd, ssd.demotedIn, ssd.promotedOut],
      ['hdd', hdd, hdd.demotedIn, hdd.promotedOut],
    ] as const
    io.stdout.write(
      table(
        ['tier', 'entries', 'bytes', 'hits', 'share of hits', 'came down', 'left'],
        rows.map(([name, tier, down, left]) => [
          name,
          String(tier.entries),
          sizeOf(tier.bytes),
          String(tier.hits),
          share(tier.hits),
          String(down),
          String(left),
        ]),
      ),
    )
    return ExitCode.done
  },
}
