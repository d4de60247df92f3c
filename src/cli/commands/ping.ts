/** `ramcache ping`. */
import type { Command } from '../command.ts'
import { ExitCode } from '../exit-codes.ts'
import { LIVE_HELP, LIVE_OPTIONS, withOwner } from '../live.ts'
import { checkCount } from '../offline.ts'

export const pingCommand: Command = {
  name: 'ping',
  help: `usage: ramcache ping [-s SOCKET | -d DIR]

Prints PONG and the time of a round trip, or ends with 69 when nobody answers.

${LIVE_HELP}`,
  options: LIVE_OPTIONS,
  async run(positionals, values, io) {
    checkCount(positionals, 0, 0, 'no arguments')
    const us = await withOwner(values, io, async (call) => {
      const before = io.now()
      await call('PING')
      return Math.round((io.now() - before) * 1000)
    })
    io.stdout.write(values.json === true ? `${JSON.stringify({ us })}\n` : `PONG ${us} µs\n`)
    return ExitCode.done
  },
}
