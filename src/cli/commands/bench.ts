/** `ramcache bench`. */
import { systemClock } from '../../base/clock.ts'
import { freshId } from '../../base/prng.ts'
import type { Cache } from '../../index.ts'
import { type Load, type LoadResult, runLoad } from '../bench-load.ts'
import type { CliIo, Command, OptionValues } from '../command.ts'
import { usageError } from '../command.ts'
import { ExitCode } from '../exit-codes.ts'
import { LIVE_HELP, LIVE_OPTIONS, namespaceIn, withCache } from '../live.ts'
import { checkCount, text, wholeNumber } from '../offline.ts'
import { table } from '../show.ts'

const usual = { requests: 100_000, keys: 10_000, size: 1024, clients: 16 }
const kinds = ['get', 'set'] as const

export const benchCommand: Command = {
  name: 'bench',
  help: `usage: ramcache bench [--requests N] [--keys N] [--size BYTES] [--clients N] [--only get|set] [-s SOCKET | -d DIR]

A small load on a store: sets, then gets, of random keys in a namespace of its own, which is cleared at the end;
in a store that is full, what is colder than they are leaves RAM. Prints how many were done in a second, and how long
single ones took. All of it comes from this one process: against a daemon gets are read out of shared memory here, sets go
over its socket; in a directory that nobody has open both are calls in this process.

  --requests N      of each kind; by default ${usual.requests}
  --keys N          different keys; by default ${usual.keys}
  --size BYTES      of a value; by default ${usual.size}
  --clients N       requests under way at a time; by default ${usual.clients}
  --only KIND       get or set alone
  --json            one object for each kind
${LIVE_HELP}`,
  options: {
    ...LIVE_OPTIONS,
    requests: { type: 'string' },
    keys: { type: 'string' },
    size: { type: 'string' },
    clients: { type: 'string' },
    only: { type: 'string' },
  },
  async run(positionals, values, io) {
    checkCount(positionals, 0, 0, 'no arguments')
    if (values.namespace !== undefined) throw usageError('it works in a namespace of its own: it takes no -n')
    const only = text(values.only)
    const wanted = kinds.filter((kind) => only === undefined || kind === only)
    if (wanted.length === 0) throw usageError(`--only takes get or set, not ${only}`)
    const results = await withCache(values, io, (cache) => bench(cache, wanted, loadOf(values, io)))
    for (const result of values.json === true ? results : []) io.stdout.write(`${JSON.stringify(result)}\n`)
    if (values.json !== true) io.stdout.write(benchText(results))
    return ExitCode.done
  },
}

function loadOf(values: OptionValues, { signal }: CliIo): Load {
  return {
    requests: wholeNumber(values.requests, '--requests', usual.requests, 1, 100_000_000),
    keys: wholeNumber(values.keys, '--keys', usual.keys, 1, 10_000_000),
    valueBytes: wholeNumber(values.size, '--size', usual.size, 1, 16 * 1024 * 1024),
    clients: wholeNumber(values.clients, '--clients', usual.clients, 1, 10_000),
    signal,
    nowUs: () => systemClock.monotonicUs(),
  }
}

async function bench(cache: Cache, wanted: readonly string[], load: Load): Promise<LoadResult[]> {
  const space = namespaceIn(cache, `bench-${freshId()}`)
  const value = 'x'.repeat(load.valueBytes)
  const name = (key: number) => `key:${key}`
  const results: LoadResult[] = []
  try {
    if (wanted.includes('set')) {
      results.push(
        await runLoad('set', load, async (key) => {
          await space.set(name(key), value)
          return undefined
        }),
      )
    }
    if (wanted.includes('get')) {
      for (let key = 0; key < load.keys; key++) {
        load.signal?.throwIfAborted()
        await space.add(name(key), value)
      }
      results.push(
        await runLoad('get', load, async (key) => {
          if ((await space.get<string>(name(key)))?.length !== load.valueBytes) return 'miss'
          return undefined
        }),
      )
    }
  } finally {
    await space.clear()
  }
  return results
}

function benchText(results: readonly LoadResult[]): string {
  const rows = results.map(({ kind, requestsPerSecond, p50Us, p99Us, p999Us, maxUs, misses }) => [
    kind,
    requestsPerSecond.toFixed(0),
    ...[p50Us, p99Us, p999Us, maxUs].map((us) => us.toFixed(1)),
    String(misses),
  ])
  return table(['', 'requests/s', 'p50 µs', 'p99 µs', 'p99.9 µs', 'max µs', 'misses'], rows)
}
