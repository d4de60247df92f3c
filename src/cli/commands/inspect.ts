/** `ramcache inspect`: why a key is where it is. */
import { systemClock } from '../../base/clock.ts'
import type { Entry } from '../../index.ts'
import type { Command } from '../command.ts'
import { ExitCode } from '../exit-codes.ts'
import { LIVE_HELP, LIVE_OPTIONS, withCache } from '../live.ts'
import { checkCount, sizeOf } from '../offline.ts'
import { durationText } from '../show.ts'

const whys: Readonly<Record<Entry['tier'], string>> = {
  ram: 'written or read lately: it has been used since the store last needed its room, or there was room for all',
  ssd: 'it left RAM because others were used more; a second read within a minute brings it back',
  hdd: 'nobody has read it since the SSD tier last needed its room; a read brings it back',
}

export const inspectCommand: Command = {
  name: 'inspect',
  help: `usage: ramcache inspect KEY [-s SOCKET | -d DIR] [-n NAMESPACE]

What is known of a key without its value, and why it is where it is. Exit code 1 when there is no such key.

${LIVE_HELP}`,
  options: LIVE_OPTIONS,
  async run(positionals, values, io) {
    checkCount(positionals, 1, 1, 'one KEY')
    const key = positionals[0] as string
    // A scan of the one key is no use of it: a look must not move what it looks at.
    const found = await withCache(values, io, async (cache) => {
      for await (const entry of cache.scan({ prefix: key })) if (entry.key === key) return entry
      return undefined
    })
    if (found === undefined) return ExitCode.negative
    if (values.json === true) {
      io.stdout.write(`${JSON.stringify({ ...found, why: whys[found.tier] })}\n`)
      return ExitCode.done
    }
    const { tier, size, version, createdAt, expiresAt, tags } = found
    const ago = durationText(Math.max(0, systemClock.nowMs() - createdAt))
    io.stdout.write(
      [
        `key      ${key}`,
        `tier     ${tier}: ${whys[tier]}`,
        `size     ${sizeOf(size)}${found.isBlob === true ? ', a blob' : ''}`,
        `written  ${new Date(createdAt).toISOString()}, ${ago} ago, version ${version}`,
        `expires  ${expiresAt === undefined ? 'never' : new Date(expiresAt).toISOString()}`,
        `tags     ${tags.length === 0 ? 'none' : tags.join(', ')}`,
        '',
      ].join('\n'),
    )
    return ExitCode.done
  },
}
