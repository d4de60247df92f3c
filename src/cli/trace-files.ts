/** Which trace files a command means: those named, else all of the first directory that has any. */

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { TRACE_SUFFIX } from '../simulator/trace.ts'
import { CliError, type CliIo } from './command.ts'
import { ExitCode } from './exit-codes.ts'

/** Two directories up from src/cli and from dist/cli alike. */
const PACKAGE_ROOT = fileURLToPath(new URL('../../', import.meta.url))
const SHARED_DIRECTORY = join(PACKAGE_ROOT, '..', 'shared', 'traces')
const SAMPLE_DIRECTORY = join(PACKAGE_ROOT, 'test', 'fixtures', 'traces')

/** Paths of the traces to replay. A name without a path may stand for a trace in the default directory. */
export function findTraces(names: readonly string[], io: CliIo): string[] {
  const directory = traceDirectory(io.env)
  if (names.length > 0) return names.map((name) => resolveName(name, directory))
  const paths = listTraces(directory)
  if (paths.length === 0) throw new CliError(ExitCode.io, `no *${TRACE_SUFFIX} in ${directory}`)
  if (directory === SAMPLE_DIRECTORY) {
    io.stderr.write(
      'no full traces found (RAMCACHE_TRACES names their directory); replaying the bundled sample\n',
    )
  }
  return paths
}

function traceDirectory(env: CliIo['env']): string {
  if (env.RAMCACHE_TRACES !== undefined && env.RAMCACHE_TRACES !== '') return env.RAMCACHE_TRACES
  return existsSync(SHARED_DIRECTORY) ? SHARED_DIRECTORY : SAMPLE_DIRECTORY
}

function resolveName(name: string, directory: string): string {
  if (name.includes('/') || existsSync(name)) return name
  const path = join(directory, name.endsWith(TRACE_SUFFIX) ? name : name + TRACE_SUFFIX)
  return existsSync(path) ? path : name
}

function listTraces(directory: string): string[] {
  try {
    const files = readdirSync(directory).filter((file) => file.endsWith(TRACE_SUFFIX))
    return files.sort().map((file) => join(directory, file))
  } catch (error) {
    throw new CliError(ExitCode.io, `cannot list traces: ${(error as Error).message}`, { cause: error })
  }
}
