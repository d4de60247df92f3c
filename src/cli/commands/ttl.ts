/** `ramcache ttl`. */
import { systemClock } from '../../base/clock.ts'
import type { Command } from '../command.ts'
import { ExitCode } from '../exit-codes.ts'
import { LIVE_HELP, LIVE_OPTIONS, withCache } from '../live.ts'
import { checkCount } from '../offline.ts'

export const ttlCommand: Command = {
  name: 'ttl',
  help: `usage: ramcache ttl KEY [TIME] [-s SOCKET | -d DIR] [-n NAMESPACE]

The milliseconds until KEY expires, or 'never'. With TIME (milliseconds, 10s, 5m, 2h, 1d) it expires then. Exit code 1 when there is no such key.

${LIVE_HELP}`,
  options: LIVE_OPTIONS,
  async run(positionals, values, io) {
    checkCount(positionals, 1, 2, 'KEY, and perhaps TIME')
    const [key, time] = positionals as [string, string?]
    const expiresAt = await withCache(values, io, async (cache) => {
      if (time !== undefined && !(await cache.touch(key, /^\d+$/.test(time) ? Number(time) : time))) {
        return undefined
      }
      const entry = await cache.getEntry(key)
      return entry === undefined ? undefined : (entry.expiresAt ?? null)
    })
    if (expiresAt === undefined) return ExitCode.negative
    const left = expiresAt === null ? null : Math.max(0, expiresAt - systemClock.nowMs())
    io.stdout.write(values.json === true ? `${JSON.stringify({ ttlMs: left })}\n` : `${left ?? 'never'}\n`)
    return ExitCode.done
  },
}
