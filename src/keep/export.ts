/**
 * Export: all entries of a store, or of some namespaces, as a stream of bytes that another store can import. Runs beside
 * reads and writes; every entry that lives from the beginning to the end is in it once, others may be.
 *
 * Entries are looked at without a trace: nothing moves between tiers, nothing counts as a use.
 */
import { Readable } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { RamcacheError, show } from '../base/errors.ts'
import { BlobReader } from '../cache/streams.ts'
import type { Cache } from '../cache/types.ts'
import { Manifest } from '../codec/blob.ts'
import { checkSignal } from '../config/call-options.ts'
import { checkFields, configError } from '../config/fields.ts'
import { checkNamespaceName } from '../config/open-options.ts'
import type { Key, Space, WholeEntry } from '../native/engine.ts'
import { BinaryPacker } from './binary.ts'
import type { Item, KeptHead, Packer } from './items.ts'
import { TextPacker } from './ndjson-out.ts'
import { type OpenStore, storeOf } from './store-of.ts'

export type ExportFormat = 'ndjson' | 'binary'

export interface ExportOptions {
  /** Full names (`a/b` for a nested one). Default: all there are. */
  namespaces?: readonly string[]
  /** `'ndjson'`, one JSON object a line, is the default; `'binary'` is smaller and faster. */
  format?: ExportFormat
  /** Destroys the stream. */
  signal?: AbortSignal
}

/** Values looked at at a time: enough for a disk to have something to do, little enough to hold. */
const lookBytesMax = 1024 * 1024
const looksMax = 512
/** Looks at an entry that is replaced all the time. */
const attemptsMax = 100

/**
 * The stream fails with ERR_RAMCACHE_CORRUPT for an entry that cannot be read, with ERR_RAMCACHE_CONFIG for a namespace
 * that does not exist, and with ERR_RAMCACHE_CLOSED when the cache is closed before the end.
 */
export function exportEntries(cache: Cache, options: ExportOptions = {}): Readable {
  checkFields(options, 'exportEntries()', ['namespaces', 'format', 'signal'])
  const { format = 'ndjson' } = options
  if (format !== 'ndjson' && format !== 'binary') {
    throw configError(`format of exportEntries() must be 'ndjson' or 'binary', not ${show(format)}`)
  }
  const signal = checkSignal(options.signal, 'exportEntries()')
  const store = storeOf(cache, 'exportEntries()')
  const names = checkNames(options.namespaces as readonly string[] | undefined, store)
  const packer = format === 'binary' ? new BinaryPacker() : new TextPacker()
  const bytes = pack(packer, itemsOf(store, names))
  return Readable.from(bytes, { objectMode: false, ...(signal === undefined ? {} : { signal }) })
}

function checkNames(names: readonly string[] | undefined, { engine }: OpenStore): string[] {
  const known = Object.keys(engine.counters().namespaces)
  if (names === undefined) return known
  if (!Array.isArray(names)) throw configError(`namespaces must be a list of names, not ${show(names)}`)
  for (const name of names) {
    if (known.includes(checkNamespaceName(name))) continue
    throw configError(`there is no namespace ${show(name)}; there are: ${known.slice(0, 20).join(', ')}`)
  }
  return [...new Set(names)]
}

async function* pack(packer: Packer, items: AsyncIterable<Item>): AsyncGenerator<Buffer> {
  yield packer.begin()
  for await (const item of items) {
    const bytes = packer.add(item)
    if (bytes !== undefined) yield bytes
  }
  yield packer.finish()
}

async function* itemsOf(store: OpenStore, names: readonly string[]): AsyncGenerator<Item> {
  for (const name of names) {
    const space = store.engine.space(name)
    for await (const keys of groupsOf(store, space, name)) {
      const entries = await Promise.all(keys.map((key) => look(space, name, key)))
      for (const [index, entry] of entries.entries()) {
        // It has gone meanwhile.
        if (entry === undefined) continue
        const key = keys[index] as Key
        if (entry.value instanceof Manifest) yield* blobItems(store, space, name, key, entry)
        else yield { kind: 'entry', head: headOf(name, key, entry), value: entry.value, size: entry.size }
      }
    }
  }
}

/** Keys that may be looked at together. */
async function* groupsOf(store: OpenStore, space: Space, name: string): AsyncGenerator<Key[]> {
  let group: Key[] = []
  let bytes = 0
  for await (const { key, size } of keysOf(store, space, name)) {
    group.push(key)
    bytes += size
    if (group.length < looksMax && bytes < lookBytesMax) continue
    yield group
    group = []
    bytes = 0
  }
  if (group.length > 0) yield group
}

async function* keysOf(
  { home }: OpenStore,
  space: Space,
  name: string,
): AsyncGenerator<{ key: Key; size: number }> {
  if (!space.reachesBelow) {
    let cursor: ReturnType<Space['scanKeys']>['cursor']
    do {
      const page = space.scanKeys(cursor)
      yield* page.keys
      cursor = page.cursor
      await nextTurn()
    } while (cursor !== undefined)
    return
  }
  // Entries of durability `none` are in RAM alone, until the index has them too.
  const shown = new Set<string>()
  let cursor: ReturnType<Space['scanVolatile']>['cursor']
  do {
    const page = space.scanVolatile(cursor, '')
    for (const [key, { size }] of page.entries) {
      shown.add(key)
      yield { key: Buffer.from(key, 'latin1'), size }
    }
    cursor = page.cursor
    await nextTurn()
  } while (cursor !== undefined)
  let from: Uint8Array | undefined
  do {
    const page = await home.scans.page(name, '', from)
    for (const entry of page.entries) {
      if (!shown.has(Buffer.from(entry.key).toString('latin1'))) yield entry
    }
    from = page.next
  } while (from !== undefined)
}

async function look(space: Space, name: string, key: Key): Promise<WholeEntry | undefined> {
  try {
    return await space.lookWhole(key)
  } catch (error) {
    if (!(error instanceof RamcacheError) || error.code === 'ERR_RAMCACHE_CLOSED') throw error
    const message = `the entry ${show(textOf(key))} of namespace ${show(name)} cannot be exported: ${error.message}`
    throw new RamcacheError(error.code, message, error)
  }
}

/** The reader holds its lease before the second look: what it reads is not swept (`cache/blobs.ts`). */
async function* blobItems(
  { blobs }: OpenStore,
  space: Space,
  name: string,
  key: Key,
  first: WholeEntry,
): AsyncGenerator<Item> {
  let entry: WholeEntry | undefined = first
  for (let attempt = 0; entry !== undefined; attempt++) {
    if (!(entry.value instanceof Manifest)) {
      yield { kind: 'entry', head: headOf(name, key, entry), value: entry.value, size: entry.size }
      return
    }
    const { totalBytes } = entry.value
    const reader = new BlobReader(
      blobs,
      entry.value,
      { start: 0, end: totalBytes },
      undefined,
      async () => {},
    )
    try {
      const again: WholeEntry | undefined = await look(space, name, key)
      if (again?.version === entry.version) {
        yield { kind: 'blob', head: headOf(name, key, entry), totalBytes }
        yield* chunksOf(reader, totalBytes)
        return
      }
      entry = again
    } finally {
      reader.destroy()
    }
    if (attempt === attemptsMax) {
      const message = `${show(textOf(key))} was replaced ${attemptsMax} times while it was to be exported, which is the limit`
      throw new RamcacheError('ERR_RAMCACHE_CONFLICT', message)
    }
  }
}

async function* chunksOf(reader: Readable, totalBytes: number): AsyncGenerator<Item> {
  try {
    for await (const bytes of reader) yield { kind: 'chunk', bytes: bytes as Buffer }
    yield { kind: 'end', totalBytes }
  } catch (error) {
    // Evicted from a store without tiers: it is as good as gone for every reader.
    if ((error as { code?: string }).code !== 'ERR_RAMCACHE_UNAVAILABLE') throw error
    yield { kind: 'lost' }
  }
}

function headOf(namespace: string, key: Key, entry: WholeEntry): KeptHead {
  return {
    namespace,
    key: typeof key === 'string' ? Buffer.from(key) : Buffer.from(key.buffer, key.byteOffset, key.byteLength),
    version: entry.version,
    createdAt: entry.createdAt,
    expiresAt: entry.expiresAt ?? 0,
    idleMs: entry.idleMs,
    deadline: entry.deadline,
    tags: entry.tags,
  }
}

function textOf(key: Key): string {
  return typeof key === 'string' ? key : Buffer.from(key).toString()
}
