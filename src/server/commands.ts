/** Commands that take JavaScript: objects, blobs, scans of all tiers, and what concerns the owner as a whole. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { RamcacheError, show } from '../base/errors.ts'
import { compileGlob } from '../cache/glob.ts'
import { type Move, type MoveOutcome, moveKey } from '../cache/moves.ts'
import type { Cache } from '../cache/types.ts'
import type { NativeHandle } from '../native/binding.ts'
import type { Engine } from '../native/engine.ts'
import type { TierScans } from '../owner/scans.ts'
import type { BlobWrites } from './blob-writes.ts'
import { hotKeys } from './hot.ts'
import { Failure, ok, type Reply, Simple } from './replies.ts'
import type { CommandRequest } from './requests.ts'
import { type ScannedEntry, type ScannedPage, type ScanTier, scanPage } from './scans.ts'
import { bytesOf, lengthOf, namespaceOf, rangeOf, textOf, typeOf } from './values.ts'
import { blobOptions } from './write-words.ts'

/** What commands work on. */
export interface Home {
  readonly cache: Cache
  readonly engine: Engine & { readonly native: NativeHandle }
  readonly scans: TierScans
  readonly blobs: BlobWrites
  stats(): Promise<object>
  /** Ends the owner in its time; `undefined` where it is not ours to end. */
  readonly shutdown: (() => void) | undefined
}

type Command = (home: Home, request: CommandRequest) => Promise<Reply> | Reply

function arg(request: CommandRequest, index: number): Buffer {
  const found = request.args[index]
  if (found === undefined) throw new Failure(`ERR wrong number of arguments for '${request.name}' command`)
  return found
}

function cacheOf(home: Home, request: CommandRequest): Cache {
  return namespaceOf(home.cache, request.namespace)
}

async function get(home: Home, request: CommandRequest): Promise<Reply> {
  return (await bytesOf(cacheOf(home, request), arg(request, 0))) ?? null
}

function mget(home: Home, request: CommandRequest): Promise<Reply> {
  const cache = cacheOf(home, request)
  return Promise.all(
    request.args.map(async (key) => (key.length === 0 ? null : ((await bytesOf(cache, key)) ?? null))),
  )
}

async function getrange(home: Home, request: CommandRequest): Promise<Reply> {
  const cache = cacheOf(home, request)
  const key = arg(request, 0)
  const entry = await cache.getEntry(key)
  if (entry === undefined) return Buffer.alloc(0)
  const text = entry.isBlob === true ? undefined : textOf(entry.value)
  const length = text?.length ?? entry.size
  const [from, to] = [Number(arg(request, 1)), Number(arg(request, 2))]
  if (from < 0 && to < 0 && from > to) return Buffer.alloc(0)
  const start = Math.max(0, from < 0 ? from + length : from)
  const end = Math.min(length - 1, Math.max(0, to < 0 ? to + length : to))
  if (start > end || length === 0) return Buffer.alloc(0)
  return text === undefined ? rangeOf(cache, key, start, end) : text.subarray(start, end + 1)
}

const tierNames = new Set(['any', 'ram', 'ssd', 'hdd'])

async function ownScan(home: Home, request: CommandRequest): Promise<Reply> {
  const namespace = arg(request, 0).toString('latin1')
  const tier = arg(request, 2).toString('latin1').toLowerCase()
  if (!tierNames.has(tier)) {
    throw new RamcacheError('ERR_RAMCACHE_CONFIG', `tier must be any, ram, ssd or hdd, not ${show(tier)}`)
  }
  if (!home.engine.hasNamespace(namespace)) return ['', []]
  const space = home.engine.space(namespace)
  const scanned = { space, scans: home.scans, namespace }
  const page = await scanPage(scanned, arg(request, 1).toString(), tier as ScanTier, arg(request, 4))
  return [page.cursor, page.entries.map(rowOf)]
}

function rowOf({ keyBytes, size, version, createdAt, expiresAt, tags, tier, isBlob }: ScannedEntry): Reply {
  return [keyBytes, size, version, createdAt, expiresAt ?? 0, tags, tier, isBlob === true ? 1 : 0]
}

/** All keys of a namespace, page by page. */
async function* pages(
  home: Home,
  namespace: string,
  prefix: string,
): AsyncGenerator<ScannedPage, void, undefined> {
  const scanned = { space: home.engine.space(namespace), scans: home.scans, namespace }
  let cursor: Buffer = Buffer.alloc(0)
  do {
    const page = await scanPage(scanned, prefix, 'any', cursor)
    yield page
    cursor = page.cursor
    await nextTurn()
  } while (cursor.length > 0)
}

/** Bytes of one reply to KEYS. */
const keysBytesMost = 64 * 1024 * 1024

async function keys(home: Home, request: CommandRequest): Promise<Reply> {
  const glob = compileGlob(arg(request, 0).toString())
  const found = new Map<string, Uint8Array>()
  let bytes = 0
  for await (const page of pages(home, request.namespace, glob.prefix)) {
    for (const { key, keyBytes } of page.entries) {
      if (!glob.matches(key)) continue
      found.set(Buffer.from(keyBytes).toString('latin1'), keyBytes)
      bytes += keyBytes.length
    }
    if (bytes > keysBytesMost) {
      const message = `the keys would take more than ${keysBytesMost} bytes, which is the limit: use SCAN`
      throw new RamcacheError('ERR_RAMCACHE_VALUE', message)
    }
  }
  return [...found.values()]
}

async function dbsize(home: Home, request: CommandRequest): Promise<Reply> {
  let count = 0
  for await (const page of pages(home, request.namespace, '')) count += page.entries.length
  return count
}

async function randomkey(home: Home, request: CommandRequest): Promise<Reply> {
  for await (const { entries } of pages(home, request.namespace, '')) {
    const entry = entries[0]
    if (entry !== undefined) return entry.keyBytes
  }
  return null
}

/** Cursors of SCAN are numbers: where a scan of the tiers goes on is kept under them. */
const cursors = new Map<number, Buffer>()
const cursorsMost = 10_000
let lastCursor = 0

async function scan(home: Home, request: CommandRequest): Promise<Reply> {
  const given = arg(request, 0).toString('latin1')
  let from: Buffer | undefined = Buffer.alloc(0)
  if (given !== '0') {
    from = cursors.get(Number(given))
    if (from === undefined) throw new Failure('ERR invalid cursor')
  }
  let glob: ReturnType<typeof compileGlob> | undefined
  let type: string | undefined
  for (let at = 1; at < request.args.length; at += 2) {
    const word = arg(request, at).toString('latin1').toLowerCase()
    const value = arg(request, at + 1).toString()
    if (word === 'match') glob = compileGlob(value)
    else if (word === 'type') type = value.toLowerCase()
  }
  const namespace = request.namespace
  const scanned = { space: home.engine.space(namespace), scans: home.scans, namespace }
  const page = await scanPage(scanned, glob?.prefix ?? '', 'any', from)
  const entries = page.entries.filter(({ key }) => glob === undefined || glob.matches(key))
  const isOfType = await Promise.all(
    entries.map(async ({ keyBytes }) => {
      if (type === undefined) return true
      return typeOf(await cacheOf(home, request).getEntry(keyBytes)) === type
    }),
  )
  const found = entries.filter((_, index) => isOfType[index]).map(({ keyBytes }) => keyBytes)
  return [keep(page.cursor), found]
}

function keep(cursor: Buffer): string {
  if (cursor.length === 0) return '0'
  cursors.set(++lastCursor, cursor)
  // The oldest first: whoever does not come back for so many others is not coming.
  if (cursors.size > cursorsMost) cursors.delete(cursors.keys().next().value as number)
  return String(lastCursor)
}

async function save(home: Home): Promise<Reply> {
  await home.cache.flush()
  return ok
}

function bgsave(home: Home): Reply {
  home.cache.flush().catch(() => {})
  return new Simple('Background saving started')
}

function shutdown(home: Home): Reply {
  if (home.shutdown === undefined) {
    const message = 'this store belongs to the process that embeds it, and ends with it'
    throw new RamcacheError('ERR_RAMCACHE_UNAVAILABLE', message)
  }
  home.shutdown()
  return ok
}

const hotMsMost = 60_000
const hotKeysMost = 10_000

async function hot(home: Home, request: CommandRequest): Promise<Reply> {
  const windowMs = wholeNumber(arg(request, 0), 'the window in milliseconds', hotMsMost)
  const count = wholeNumber(arg(request, 1), 'the number of keys', hotKeysMost)
  const { reads, keys } = await hotKeys(home.engine.native, windowMs, count)
  return [reads, keys.map((found) => [found.namespace, found.key, found.reads, Math.round(found.error)])]
}

function wholeNumber(given: Buffer, what: string, most: number): number {
  const number = Number(given.toString('latin1'))
  if (Number.isInteger(number) && number >= 1 && number <= most) return number
  const shown = show(given.toString('latin1'))
  throw new RamcacheError(
    'ERR_RAMCACHE_CONFIG',
    `${what} must be a whole number from 1 to ${most}, not ${shown}`,
  )
}

/** What became of each key, in order. */
async function moveAll(
  home: Home,
  request: CommandRequest,
  moves: Readonly<Record<string, Move>>,
): Promise<Reply> {
  const namespace = arg(request, 0).toString('latin1')
  const word = arg(request, 1).toString('latin1').toLowerCase()
  const move = Object.hasOwn(moves, word) ? moves[word] : undefined
  if (move === undefined) throw new Failure('ERR syntax error')
  // Checks the name; a namespace that nobody has made has no keys.
  namespaceOf(home.cache, namespace)
  const keys = request.args.slice(2)
  if (!home.engine.hasNamespace(namespace)) return keys.map(() => 'absent')
  const outcomes: MoveOutcome[] = []
  for (const key of keys) {
    outcomes.push(key.length === 0 ? 'absent' : await moveKey(home.engine, namespace, Buffer.from(key), move))
  }
  return outcomes
}

/** By their names. */
export const commands: Readonly<Record<string, Command>> = {
  get,
  mget,
  getrange,
  substr: getrange,
  strlen: (home, request) => lengthOf(cacheOf(home, request), arg(request, 0)),
  type: async (home, request) => new Simple(typeOf(await cacheOf(home, request).getEntry(arg(request, 0)))),
  scan,
  keys,
  dbsize,
  randomkey,
  save,
  bgsave,
  shutdown,
  'rc.shutdown': shutdown,
  'rc.stats': async (home) => JSON.stringify(await home.stats()),
  'rc.scan': ownScan,
  'rc.hot': hot,
  'rc.pin': (home, request) => moveAll(home, request, { on: 'pin', off: 'unpin' }),
  'rc.tier': (home, request) => moveAll(home, request, { ram: 'promote', ssd: 'demote' }),
  'rc.blob.write': (home, request) => {
    const cache = namespaceOf(home.cache, arg(request, 0).toString('latin1'))
    return home.blobs.begin(request.connection, cache, arg(request, 1), blobOptions(request.args.slice(2)))
  },
  'rc.blob.chunk': async (home, request) => {
    await home.blobs.write(request.connection, arg(request, 0).toString('latin1'), arg(request, 1))
    return ok
  },
  'rc.blob.end': async (home, request) => {
    await home.blobs.end(request.connection, arg(request, 0).toString('latin1'))
    return ok
  },
  'rc.blob.abort': async (home, request) => {
    await home.blobs.abort(request.connection, arg(request, 0).toString('latin1'))
    return ok
  },
}
