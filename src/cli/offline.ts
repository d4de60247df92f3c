/** For verbs that work on a directory by themselves: which one it is, opening it, and what its errors mean to a shell. */
import { statSync } from 'node:fs'
import { RamcacheError } from '../base/errors.ts'
import { type Cache, type OpenOptions, open } from '../index.ts'
import { arenaLeftIn } from '../keep/arena-files.ts'
import { CliError, type CliIo, type OptionTable, type OptionValues, usageError } from './command.ts'
import { ExitCode } from './exit-codes.ts'

export const DIRECTORY_OPTIONS = {
  socket: { type: 'string', short: 's' },
  dir: { type: 'string', short: 'd' },
  ssd: { type: 'string' },
  hdd: { type: 'string' },
} as const satisfies OptionTable

export const OPEN_OPTIONS = {
  ...DIRECTORY_OPTIONS,
  memory: { type: 'string' },
} as const satisfies OptionTable

export const DIRECTORY_HELP = `  -d, --dir DIR    directory of the store; by default that in RAMCACHE_DIR
  --ssd PATH       where its SSD tier lies, if not in DIR/ssd
  --hdd PATH       where its HDD tier lies, if it has one
`
export const OPEN_HELP = `${DIRECTORY_HELP}  --memory SIZE    budget while it is open (512mb, ...); by default a third of the RAM
`

export function directoryOf(values: OptionValues, io: CliIo): string {
  if (values.socket !== undefined) {
    throw usageError('it works on the files of a store that nobody has open: give -d DIR')
  }
  const dir = text(values.dir) ?? io.env.RAMCACHE_DIR
  if (dir === undefined || dir === '') throw usageError('which store? give -d DIR, or set RAMCACHE_DIR')
  return dir
}

export function tiersOf(values: OptionValues): { ssd?: string; hdd?: string } {
  const [ssd, hdd] = [text(values.ssd), text(values.hdd)]
  return { ...(ssd === undefined ? {} : { ssd }), ...(hdd === undefined ? {} : { hdd }) }
}

/** Nothing but these stand behind the verb. */
export function checkCount(positionals: readonly string[], least: number, most: number, what: string): void {
  if (positionals.length < least || positionals.length > most) {
    throw usageError(`it takes ${what}, not ${positionals.length} arguments`)
  }
}

/** Opens the store, works with it, and closes it whatever happens. `isNew`: it need not be there. */
export async function withStore<T>(
  values: OptionValues,
  io: CliIo,
  isNew: boolean,
  work: (cache: Cache) => Promise<T>,
): Promise<T> {
  const dir = directoryOf(values, io)
  const path = text(values.ssd) ?? `${dir}/ssd`
  const hdd = text(values.hdd)
  if (!isNew) {
    if (!isDirectory(dir)) throw new CliError(ExitCode.io, `there is no directory ${dir}`)
    if (!isDirectory(path)) {
      const message = `there is no SSD tier in ${path}: a store in RAM only can be read by the process that has it open`
      throw new CliError(ExitCode.configuration, message)
    }
  }
  return foreseen(io, async () => {
    // With another budget, what a dead owner has left might be refused, and lost.
    const left = arenaLeftIn(dir)?.superblock?.budgetBytes
    const memory = left ?? text(values.memory) ?? 'auto'
    if (left !== undefined) io.stderr.write(`taking over the memory that a process has left, ${left} bytes\n`)
    const cache = await open({
      dir,
      memory: memory as NonNullable<OpenOptions['memory']>,
      // A verb that works on the files must be the only one who does.
      listen: false,
      tiers: { ssd: { path }, ...(hdd === undefined ? {} : { hdd: { path: hdd } }) },
    })
    try {
      return await work(cache)
    } finally {
      await cache.close()
    }
  })
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
}

/** Expected trouble ends with one line and the code that scripts look at. */
export async function foreseen<T>(io: CliIo, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (io.signal?.aborted === true) throw io.signal.reason
    if (error instanceof RamcacheError) {
      throw new CliError(exitCodeOf(error), error.message, { cause: error })
    }
    const { code } = error as NodeJS.ErrnoException
    if (typeof code === 'string' && /^E[A-Z]+$/.test(code)) {
      throw new CliError(systemExitCode(code), (error as Error).message, { cause: error })
    }
    throw error
  }
}

function exitCodeOf({ code, cause }: RamcacheError): ExitCode {
  const systemCode = (cause as { code?: unknown } | undefined)?.code
  switch (code) {
    case 'ERR_RAMCACHE_LOCKED':
      return ExitCode.unavailable
    case 'ERR_RAMCACHE_CONFIG':
      return ExitCode.configuration
    case 'ERR_RAMCACHE_TIMEOUT':
      return ExitCode.timedOut
    default:
      return typeof systemCode === 'string' ? systemExitCode(systemCode) : ExitCode.io
  }
}

function systemExitCode(code: string): ExitCode {
  return code === 'EACCES' || code === 'EPERM' ? ExitCode.noPermission : ExitCode.io
}

export function text(value: OptionValues[string]): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** A whole number that an option gives, within limits. */
export function wholeNumber(
  value: OptionValues[string],
  option: string,
  usual: number,
  least: number,
  most: number,
): number {
  const given = text(value)
  if (given === undefined) return usual
  const number = Number(given)
  if (/^\d+$/.test(given) && number >= least && number <= most) return number
  throw usageError(`${option} takes a whole number from ${least} to ${most}, not ${given}`)
}

/** Bytes that people can read. */
export function sizeOf(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB']
  const step = bytes < 1024 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1)
  return `${step === 0 ? bytes : (bytes / 1024 ** step).toFixed(1)} ${units[step]}`
}
