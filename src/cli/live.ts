/** For verbs that talk to a store: to the process that has it open, or else by opening its directory themselves. */
import { askOwner } from '../cache/internal.ts'
import { readPassword } from '../config/password-file.ts'
import { type Cache, type ConnectOptions, connect, type RamcacheError } from '../index.ts'
import { startOf } from '../keep/arena-files.ts'
import { isOwned, ownerOf } from '../native/open.ts'
import { STORE_OPTIONS } from './arguments.ts'
import { CliError, type CliIo, type OptionTable, type OptionValues } from './command.ts'
import { ExitCode } from './exit-codes.ts'
import { directoryOf, foreseen, text, withStore } from './offline.ts'

export const LIVE_OPTIONS = {
  ...STORE_OPTIONS,
  ssd: { type: 'string' },
  hdd: { type: 'string' },
  memory: { type: 'string' },
} as const satisfies OptionTable

export const LIVE_HELP = `  -s, --socket URL  of the process that has the store open: a path, unix://PATH, redis://HOST:PORT or rediss://HOST:PORT (TLS);
                    by default RAMCACHE_SOCKET or RAMCACHE_URL. The password: in the file that RAMCACHE_PASSWORD_FILE names
  -d, --dir DIR     directory of the store; by default RAMCACHE_DIR. Opened here when nobody has it open
  -n, --namespace NAME
`

interface Owner {
  readonly url: string
  /** Known by the directory alone. */
  readonly pid?: number
}

/** Where whoever has the store open listens; `undefined` when nobody has. */
function findOwner(values: OptionValues, io: CliIo): Owner | undefined {
  const given = text(values.socket)
  if (given !== undefined) return { url: given }
  if (values.dir === undefined) {
    const named = io.env.RAMCACHE_SOCKET || io.env.RAMCACHE_URL
    if (named) return { url: named }
  }
  const dir = directoryOf(values, io)
  if (!isOwned(dir)) return undefined
  const { pid, socket } = ownerOf(dir)
  if (socket === undefined || socket === '') {
    throw new CliError(ExitCode.unavailable, `process ${pid} has ${dir} open and listens to nobody`)
  }
  return { url: socket, pid }
}

/** Why nobody answers, when that can be seen from outside. */
function whyOf({ pid }: Owner): string {
  if (pid === undefined || startOf(pid)?.state !== 'T') return ''
  return `; process ${pid}, which has the store open, is stopped: kill -CONT ${pid} lets it go on`
}

/** What is not in the URL. Certificates of authorities that Node does not know: NODE_EXTRA_CA_CERTS. */
function credentialsFor(url: string, { env }: CliIo): ConnectOptions {
  const file = env.RAMCACHE_PASSWORD_FILE
  const isNeeded = /^rediss?:\/\/(?![^/]*:[^/]+@)/i.test(url)
  return isNeeded && file ? { password: readPassword(file).toString() } : {}
}

async function withClient<T>(owner: Owner, io: CliIo, work: (cache: Cache) => Promise<T>): Promise<T> {
  return foreseen(io, async () => {
    const cache = await connect(owner.url, credentialsFor(owner.url, io)).catch((error: RamcacheError) => {
      if (error.code !== 'ERR_RAMCACHE_UNAVAILABLE') throw error
      throw new CliError(ExitCode.unavailable, error.message + whyOf(owner), { cause: error })
    })
    try {
      return await work(cache)
    } finally {
      // What was asked for and is not wanted any more is not waited for.
      await cache.close({ timeout: 0 })
    }
  })
}

/** The cache of the namespace that was asked for; closed whatever happens. */
export async function withCache<T>(
  values: OptionValues,
  io: CliIo,
  work: (cache: Cache) => Promise<T>,
): Promise<T> {
  const name = text(values.namespace)
  const inNamespace = (cache: Cache) => work(name === undefined ? cache : namespaceIn(cache, name))
  const owner = await foreseen(io, async () => findOwner(values, io))
  return owner === undefined ? withStore(values, io, false, inNamespace) : withClient(owner, io, inNamespace)
}

/** By its full name; `a/b` is inside `a`. */
export function namespaceIn(cache: Cache, name: string): Cache {
  if (name === 'default') return cache
  return name.split('/').reduce((outer, part) => outer.namespace(part), cache)
}

/** For words with the process that has the store open; ends with 69 when there is none. */
export async function withOwner<T>(
  values: OptionValues,
  io: CliIo,
  work: (call: (command: string) => Promise<unknown>, cache: Cache) => Promise<T>,
): Promise<T> {
  const owner = await foreseen(io, async () => findOwner(values, io))
  if (owner === undefined) {
    throw new CliError(ExitCode.unavailable, `nobody has ${directoryOf(values, io)} open`)
  }
  return withClient(owner, io, (cache) => work((command) => askOwner(cache, command), cache))
}
