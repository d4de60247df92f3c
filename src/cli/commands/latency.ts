/** `ramcache latency`. */
import { askLatency, quantileUs, roundTrip } from '../../cache/questions.ts'
import type { LatencyStats } from '../../index.ts'
import type { Command } from '../command.ts'
import { ExitCode } from '../exit-codes.ts'
import { LIVE_HELP, LIVE_OPTIONS, withOwner } from '../live.ts'
import { checkCount, wholeNumber } from '../offline.ts'
import { latencyOf } from '../samples.ts'
import { table } from '../show.ts'

const countUsual = 1000
const countMost = 1_000_000

export const latencyCommand: Command = {
  name: 'latency',
  help: `usage: ramcache latency [--count N] [-s SOCKET | -d DIR]

How long things take, in microseconds: round trips from here (PING, one after the other); gets and sets in the store itself, of
all processes, by samples; commands over the socket, the time they ran without that which they waited for. Of commands the
server keeps counts by powers of two, so what stands here is up to twice the truth. Exit code 69 when nobody has the store open.

  --count N         how many round trips; by default ${countUsual}
  --json            one object: roundTrip, get, set, commands
${LIVE_HELP}`,
  options: { ...LIVE_OPTIONS, count: { type: 'string' } },
  async run(positionals, values, io) {
    checkCount(positionals, 0, 0, 'no arguments')
    const count = wholeNumber(values.count, '--count', countUsual, 1, countMost)
    const found = await withOwner(values, io, async (_, cache) => {
      const us = new Float64Array(count)
      // The first is slower than all others: code is compiled, the server wakes up.
      await roundTrip(cache)
      for (let at = 0; at < count; at++) {
        io.signal?.throwIfAborted()
        const before = io.now()
        await roundTrip(cache)
        us[at] = (io.now() - before) * 1000
      }
      const { get, set } = (await cache.stats()).latency
      return { roundTrip: latencyOf(us), get, set, commands: await askLatency(cache) }
    })
    const commands = [...found.commands].map(([name, latency]) => ({
      name,
      calls: latency.calls,
      p50Us: quantileUs(latency, 0.5),
      p99Us: quantileUs(latency, 0.99),
      p999Us: quantileUs(latency, 0.999),
      maxUs: quantileUs(latency, 1),
    }))
    if (values.json === true) {
      const { roundTrip, get, set } = found
      const byName = Object.fromEntries(commands.map(({ name, ...latency }) => [name, latency]))
      io.stdout.write(`${JSON.stringify({ roundTrip, get, set, commands: byName })}\n`)
      return ExitCode.done
    }
    const cells = ({ p50Us, p99Us, p999Us, maxUs }: LatencyStats) =>
      [p50Us, p99Us, p999Us, maxUs].map((us) => (Number.isInteger(us) ? String(us) : us.toFixed(1)))
    const rows = [
      ['round trip from here', String(count), ...cells(found.roundTrip)],
      ['get in the store', '', ...cells(found.get)],
      ['set in the store', '', ...cells(found.set)],
      ...commands
        .sort((left, right) => right.calls - left.calls)
        .map(({ name, calls, ...latency }) => [`command ${name}`, String(calls), ...cells(latency)]),
    ]
    io.stdout.write(table(['µs', 'calls', 'p50', 'p99', 'p99.9', 'max'], rows))
    return ExitCode.done
  },
}
