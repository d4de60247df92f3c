/** Options of `ramcache/wincache`: which store, and what `php.ini` says of WinCache, under the same names and in the same units. */
import { show } from '../base/errors.ts'
import { type Duration, parseDuration } from './duration.ts'
import { checkFields, configError } from './fields.ts'
import type { OpenOptions } from './options.ts'

export interface WincacheOptions extends Partial<OpenOptions> {
  /** Socket of the process that has the store open, as for `connect()`. Instead of `dir` and all that belongs to it. */
  socket?: string
  /** Whether there is a user cache. Default true. */
  ucenabled?: boolean
  /** Whether there is a file cache. Default true. */
  fcenabled?: boolean
  /** Seconds after which a file is looked at again, 0 to 86,400. Default 30. */
  chkinterval?: number
  /** Seconds after which a file that nobody has read is dropped, 0 (never) to 86,400. Default 1,200. */
  ttlmax?: number
  /** Largest file that is kept, in KB, 1 to 65,535. Default 256. */
  maxfilesize?: number
  /** How long `wincache_lock` waits; 0 to an hour. Default 30 s. */
  lockWait?: Duration
}

/** How a thread of its own opens the store; goes there as it is. */
export interface ValidatedWincache {
  readonly store:
    | { readonly socket: string; readonly options: object }
    | { readonly socket: undefined; readonly options: OpenOptions }
  readonly hasUserCache: boolean
  readonly hasFileCache: boolean
  readonly checkMs: number
  /** 0 = never. */
  readonly unusedMs: number
  readonly fileBytesMax: number
  readonly lockWaitMs: number
}

const own = ['socket', 'ucenabled', 'fcenabled', 'chkinterval', 'ttlmax', 'maxfilesize', 'lockWait'] as const
const ofOpen = ['dir', 'memory', 'tiers', 'namespaces', 'nearEntries', 'listen', 'ownerTimeout'] as const
const ofConnect = ['nearEntries', 'ownerTimeout'] as const
const where = 'openSync()'
const secondsMax = 86_400
/** An encoded value has at most 64 MiB, with what is said of the file. */
const kilobytesMax = 65_535

/** @internal Throws ERR_RAMCACHE_CONFIG. What is the store's is checked when that is opened. */
export function validateWincache(given: unknown): ValidatedWincache {
  checkFields(given, where, [...own, ...ofOpen], [], ['__internal'])
  return {
    store: storeOf(given),
    hasUserCache: flag(given, 'ucenabled'),
    hasFileCache: flag(given, 'fcenabled'),
    checkMs: 1000 * whole(given, 'chkinterval', 30, 0, secondsMax),
    unusedMs: 1000 * whole(given, 'ttlmax', 1200, 0, secondsMax),
    fileBytesMax: 1024 * whole(given, 'maxfilesize', 256, 1, kilobytesMax),
    lockWaitMs: parseDuration(given.lockWait ?? 30_000, `lockWait of ${where}`, {
      minMs: 0,
      maxMs: 3_600_000,
    }),
  }
}

/** @internal What the environment says, as the command line reads it: a socket before a directory. */
export function wincacheFromEnvironment(env: NodeJS.ProcessEnv = process.env): ValidatedWincache {
  const socket = env.RAMCACHE_SOCKET || env.RAMCACHE_URL
  if (socket) return validateWincache({ socket })
  if (env.RAMCACHE_DIR) return validateWincache({ dir: env.RAMCACHE_DIR })
  const message = `no store to work with: call ${where} with dir or socket first, or set RAMCACHE_SOCKET or RAMCACHE_DIR`
  throw configError(message)
}

function storeOf(given: Record<string, unknown>): ValidatedWincache['store'] {
  const { socket, dir } = given
  const picked = (names: readonly string[]) =>
    Object.fromEntries(names.filter((name) => given[name] !== undefined).map((name) => [name, given[name]]))
  if (socket === undefined) {
    if (typeof dir !== 'string') throw configError(`${where} needs dir or socket; dir is ${show(dir)}`)
    return { socket, options: picked([...ofOpen, '__internal']) as unknown as OpenOptions }
  }
  if (typeof socket !== 'string') throw configError(`socket of ${where} must be a text, not ${show(socket)}`)
  for (const name of ofOpen) {
    const isFree = given[name] === undefined || (ofConnect as readonly string[]).includes(name)
    if (!isFree) throw configError(`${where} takes either socket or ${name}: ${name} is the owner's to say`)
  }
  return { socket, options: picked(ofConnect) }
}

function flag(given: Record<string, unknown>, name: string): boolean {
  const value = given[name] ?? true
  if (typeof value !== 'boolean')
    throw configError(`${name} of ${where} must be true or false, not ${show(value)}`)
  return value
}

function whole(
  given: Record<string, unknown>,
  name: string,
  usual: number,
  min: number,
  max: number,
): number {
  const value = given[name] ?? usual
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value
  throw configError(`${name} of ${where} must be a whole number from ${min} to ${max}, not ${show(value)}`)
}
