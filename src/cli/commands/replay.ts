/** `ramcache replay`: miss ratios of the store and of exact policies over cache traces. */

import { writeFile } from 'node:fs/promises'
import { POLICY_NAMES, type PolicyName } from '../../simulator/policies/index.ts'
import { type ReplayRow, replay } from '../../simulator/replay.ts'
import type { OpenSubject } from '../../simulator/subject.ts'
import { formatSvg } from '../../simulator/svg.ts'
import { formatTable } from '../../simulator/table.ts'
import { limitTrace, readTrace, type Trace, withUniformSize } from '../../simulator/trace.ts'
import { CliError, type CliIo, type Command, type OptionValues, usageError } from '../command.ts'
import { ExitCode } from '../exit-codes.ts'
import { createProgress } from '../progress.ts'
// The store under test. The one place where the command and the store meet.
import { openStoreSubject } from '../store-subject.ts'
import { suggestion } from '../suggest.ts'
import { findTraces } from '../trace-files.ts'

const STORE = 'store'
const SIZES_DEFAULT = '1,10,30'
/** A curve needs more points than a table. */
const SIZES_DEFAULT_SVG = '0.5,1,2,5,10,20,30,50'
/** With `--objects`: sizes as a page cache would see them. */
const OBJECT_BYTES = 4096

const HELP = `usage: ramcache replay [TRACE...] [--sizes LIST] [--policies LIST] [--objects] [--limit N] [--svg FILE] [--json]

Replays cache traces (*.rct.gz) through the store and through exact policies, and prints their miss ratios.
Every request is a look-up; a miss inserts. TRACE is a file, or a name in the directory of traces.
Without TRACE: all traces in $RAMCACHE_TRACES, or in ../shared/traces beside the package, or the bundled sample.

  --sizes LIST     cache sizes in % of the footprint, with commas (default ${SIZES_DEFAULT};
                   with --svg ${SIZES_DEFAULT_SVG})
  --policies LIST  of ${[...POLICY_NAMES, STORE].join(', ')} (default all)
  --objects        ignore sizes in the trace: capacity is a count of objects
  --limit N        only the first N requests of each trace
  --svg FILE       also draw miss-ratio curves
  --json           one JSON object per trace and cache size, one per line
  -h, --help       this text

Columns: miss ratio per policy; /S3-FIFO and /LRU compare the store, with capacity counted in key and value bytes;
"all counted" is its miss ratio when all memory it uses counts; B/entry is that memory beyond key and value.
Exit codes: 0 done, 2 usage, 74 a file cannot be read or written, 130 interrupted.
`

interface Settings {
  readonly fractions: readonly number[]
  readonly policies: readonly PolicyName[]
  readonly hasStore: boolean
  readonly isUniform: boolean
  readonly requestsMax: number
  readonly svgPath: string | undefined
  readonly isJson: boolean
}

export const replayCommand: Command = createReplayCommand(openStoreSubject)

export function createReplayCommand(openSubject: OpenSubject): Command {
  return {
    name: 'replay',
    help: HELP,
    options: {
      sizes: { type: 'string' },
      policies: { type: 'string' },
      objects: { type: 'boolean' },
      limit: { type: 'string' },
      svg: { type: 'string' },
    },
    run: async (positionals, values, io) => {
      const settings = readSettings(values)
      const rows = await replayAll(findTraces(positionals, io), settings, openSubject, io)
      if (!settings.isJson) io.stdout.write(formatTable(rows))
      if (settings.svgPath !== undefined) await writeSvg(settings.svgPath, rows)
      return ExitCode.done
    },
  }
}

async function replayAll(
  paths: readonly string[],
  settings: Settings,
  openSubject: OpenSubject,
  io: CliIo,
): Promise<ReplayRow[]> {
  const progress = createProgress(io.stderr, io.now)
  const rows: ReplayRow[] = []
  try {
    for (const path of paths) {
      const options = {
        fractions: settings.fractions,
        policies: settings.policies,
        openSubject: settings.hasStore ? foreseen(openSubject) : undefined,
        now: io.now,
        onProgress: progress.update.bind(progress),
        signal: io.signal,
      }
      for await (const row of replay(await loadTrace(path, settings), options)) {
        rows.push(row)
        progress.clear()
        if (settings.isJson) io.stdout.write(`${JSON.stringify(row)}\n`)
      }
    }
  } finally {
    progress.clear()
  }
  return rows
}

async function loadTrace(path: string, { isUniform, requestsMax }: Settings): Promise<Trace> {
  try {
    const trace = limitTrace(await readTrace(path), requestsMax)
    return isUniform ? withUniformSize(trace, trace.uniformSize ?? OBJECT_BYTES) : trace
  } catch (error) {
    throw new CliError(ExitCode.io, (error as Error).message, { cause: error })
  }
}

/** A store that does not open is trouble with memory or files, not a bug of this command. */
function foreseen(openSubject: OpenSubject): OpenSubject {
  return async (options) => {
    try {
      return await openSubject(options)
    } catch (error) {
      const reason = (error as Error).message
      throw new CliError(ExitCode.io, `no store of ${options.capacityBytes} bytes: ${reason}`, {
        cause: error,
      })
    }
  }
}

async function writeSvg(path: string, rows: readonly ReplayRow[]): Promise<void> {
  try {
    await writeFile(path, formatSvg(rows))
  } catch (error) {
    throw new CliError(ExitCode.io, (error as Error).message, { cause: error })
  }
}

function readSettings(values: OptionValues): Settings {
  const svgPath = text(values.svg)
  const sizes = text(values.sizes) ?? (svgPath === undefined ? SIZES_DEFAULT : SIZES_DEFAULT_SVG)
  const chosen = readPolicies(text(values.policies))
  return {
    fractions: readFractions(sizes),
    policies: POLICY_NAMES.filter((name) => chosen.has(name)),
    hasStore: chosen.has(STORE),
    isUniform: values.objects === true,
    requestsMax: readLimit(text(values.limit)),
    svgPath,
    isJson: values.json === true,
  }
}

function text(value: OptionValues[string]): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function readFractions(list: string): number[] {
  const percents = list.split(',').map((item) => {
    const percent = item.trim() === '' ? Number.NaN : Number(item)
    if (percent > 0 && percent <= 100) return percent
    throw usageError(`--sizes takes percentages above 0 and up to 100 with commas, not "${list}"`)
  })
  return [...new Set(percents)].sort((a, b) => a - b).map((percent) => percent / 100)
}

function readPolicies(list: string | undefined): Set<string> {
  const known = [...POLICY_NAMES, STORE]
  if (list === undefined) return new Set(known)
  // "s3fifo", "S3-FIFO" and "s3_fifo" all mean the same.
  const plain = (name: string) => name.toLowerCase().replace(/[^a-z0-9]/g, '')
  return new Set(
    list.split(',').map((item) => {
      const name = known.find((candidate) => plain(candidate) === plain(item))
      if (name !== undefined) return name
      const near = suggestion(item.trim().toUpperCase(), known)
      throw usageError(`unknown policy "${item}"${near || `; known: ${known.join(', ')}`}`)
    }),
  )
}

function readLimit(limit: string | undefined): number {
  if (limit === undefined) return Number.POSITIVE_INFINITY
  const requests = Number(limit)
  if (/^\d+$/.test(limit) && Number.isSafeInteger(requests) && requests > 0) return requests
  throw usageError(`--limit takes a whole number of requests above 0, not "${limit}"`)
}
