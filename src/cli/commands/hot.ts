/** `ramcache hot`. */
import { askHotKeys } from '../../cache/questions.ts'
import type { Command } from '../command.ts'
import { usageError } from '../command.ts'
import { ExitCode } from '../exit-codes.ts'
import { LIVE_HELP, LIVE_OPTIONS, withOwner } from '../live.ts'
import { checkCount, text, wholeNumber } from '../offline.ts'
import { percent, table } from '../show.ts'

const countUsual = 20
const countMost = 10_000
const secondsUsual = 1
const secondsMost = 60

export const hotCommand: Command = {
  name: 'hot',
  help: `usage: ramcache hot [--seconds S] [--limit N] [-s SOCKET | -d DIR] [-n NAMESPACE]

The keys that are read most from now on, by samples: reads of all processes, those from shared memory and near caches
too. Exit code 1 when no read was seen, 69 when nobody has the store open.

Of the gets that RAM answers about one in 64 is sampled, at random, and every millisecond the newest sample of each reading
thread and namespace is looked at, which stands for those before it. "reads/s" is that estimate, "±" its standard error: one
estimate in three is farther off, one in twenty twice as far. Seldom read keys are missing; more seconds show more of them. has()
and getEntry(), and what lies below RAM, do not count.

  --seconds S       how long to look; by default ${secondsUsual}, at most ${secondsMost}
  --limit N         how many keys; by default ${countUsual}
  --json            one object for each: key, namespace, readsPerSecond, error, share
${LIVE_HELP}`,
  options: { ...LIVE_OPTIONS, seconds: { type: 'string' }, limit: { type: 'string' } },
  async run(positionals, values, io) {
    checkCount(positionals, 0, 0, 'no arguments')
    const limit = wholeNumber(values.limit, '--limit', countUsual, 1, countMost)
    const seconds = Number(text(values.seconds) ?? secondsUsual)
    if (!(seconds >= 0.01 && seconds <= secondsMost)) {
      throw usageError(`--seconds takes a number from 0.01 to ${secondsMost}, not ${text(values.seconds)}`)
    }
    const namespace = text(values.namespace)
    const { keys } = await withOwner({ ...values, namespace: undefined }, io, (_, cache) =>
      // Those of other namespaces are taken out here.
      askHotKeys(cache, Math.round(seconds * 1000), namespace === undefined ? limit : countMost),
    )
    const shown = keys.filter((key) => namespace === undefined || key.namespace === namespace).slice(0, limit)
    if (values.json === true) for (const key of shown) io.stdout.write(`${JSON.stringify(key)}\n`)
    else if (shown.length > 0) {
      const rows = shown.map(({ key, namespace, readsPerSecond, error, share }) => [
        key,
        readsPerSecond.toFixed(0),
        error.toFixed(0),
        percent(share),
        namespace,
      ])
      io.stdout.write(table(['key', 'reads/s', '±', 'share', 'namespace'], rows))
    }
    return shown.length > 0 ? ExitCode.done : ExitCode.negative
  },
}
