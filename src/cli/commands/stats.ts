/** `ramcache stats`. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Stats } from '../../index.ts'
import { prometheusText } from '../../observe/prometheus.ts'
import type { Command } from '../command.ts'
import { usageError } from '../command.ts'
import { ExitCode } from '../exit-codes.ts'
import { LIVE_HELP, LIVE_OPTIONS, withCache } from '../live.ts'
import { checkCount, text } from '../offline.ts'
import { statsText } from '../stats-text.ts'

export const statsCommand: Command = {
  name: 'stats',
  help: `usage: ramcache stats [--watch SECONDS] [--prometheus] [-s SOCKET | -d DIR]

Hits, misses, tiers, namespaces, latency and what is not durable yet. Reads of every process count, those from shared
memory too.

  --watch SECONDS   again and again, until it is interrupted
  --prometheus      as Prometheus text
  --json            one object; field names are stable
${LIVE_HELP}`,
  options: { ...LIVE_OPTIONS, watch: { type: 'string' }, prometheus: { type: 'boolean' } },
  async run(positionals, values, io) {
    checkCount(positionals, 0, 0, 'no arguments')
    const every = text(values.watch)
    const seconds = Number(every)
    if (every !== undefined && !(seconds >= 0.1 && seconds <= 86_400)) {
      throw usageError(`--watch takes seconds from 0.1 to 86400, not ${every}`)
    }
    const shown = (stats: Stats) => {
      if (values.prometheus === true) return prometheusText(stats)
      return values.json === true ? `${JSON.stringify(stats)}\n` : statsText(stats)
    }
    await withCache({ ...values, namespace: undefined }, io, async (cache) => {
      for (;;) {
        io.stdout.write(shown(await cache.stats()))
        if (every === undefined) return
        try {
          await pause(seconds * 1000, undefined, { signal: io.signal })
        } catch {
          // Interrupted: that is how it ends.
          return
        }
        if (values.json !== true && values.prometheus !== true) io.stdout.write('\n')
      }
    })
    return ExitCode.done
  },
}
