/**
 * Import: entries of an export, of either form, into an open store. Reads its source as it comes and holds a batch at
 * most. Expiry is kept as it was, to the millisecond; versions are new, for they order the writes of one store.
 */
import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { systemClock } from '../base/clock.ts'
import { RamcacheError } from '../base/errors.ts'
import { BlobWriter } from '../cache/streams.ts'
import type { Cache } from '../cache/types.ts'
import { whenRoom } from '../cache/when-room.ts'
import { checkKey } from '../codec/key.ts'
import { checkSignal } from '../config/call-options.ts'
import { checkFields, configError } from '../config/fields.ts'
import { checkNamespaceName } from '../config/open-options.ts'
import { cold, type Space, type WriteOptions } from '../native/engine.ts'
import { binaryMagic, readBinary } from './binary.ts'
import { type ByteSource, BytesIn } from './bytes-in.ts'
import type { Batch, Item, KeptHead } from './items.ts'
import { atPlace, damaged, readText } from './ndjson-in.ts'
import { type OpenStore, storeOf } from './store-of.ts'

export interface ImportOptions {
  /** Entries that are there already stay as they are. Default: they are replaced. */
  keepExisting?: boolean
  /** Ends the import between two entries; what has been imported stays. */
  signal?: AbortSignal
}

export interface ImportReport {
  /** Entries that were written; blobs are in it. */
  readonly entries: number
  readonly blobs: number
  /** Had expired before they came. */
  readonly expired: number
  /** Were there already, with `keepExisting`. */
  readonly kept: number
}

const idleMsMax = 0xffff_ffff

/**
 * Resolves when everything is on disk, where there is one. Rejects with ERR_RAMCACHE_CORRUPT for input that is damaged,
 * cut off or of a newer format, with ERR_RAMCACHE_VALUE, _KEY and _CONFIG for lines that are no entry, and with
 * ERR_RAMCACHE_FULL; messages begin with the line or offset. What came before stays imported, of a damaged batch nothing.
 */
export async function importEntries(
  cache: Cache,
  source: ByteSource,
  options: ImportOptions = {},
): Promise<ImportReport> {
  checkFields(options, 'importEntries()', ['keepExisting', 'signal'])
  const { keepExisting = false } = options
  if (typeof keepExisting !== 'boolean') throw configError('keepExisting must be true or false')
  const signal = checkSignal(options.signal, 'importEntries()')
  const isSource = typeof source === 'object' && source !== null
  if (!isSource || !(Symbol.asyncIterator in source || Symbol.iterator in source)) {
    throw configError('importEntries() reads a stream or another iterable of bytes')
  }
  const store = storeOf(cache, 'importEntries()')
  const input = new BytesIn(source)
  const importer = new Importer(store, keepExisting)
  try {
    const head = await input.peek(binaryMagic.length)
    const batches = head.equals(binaryMagic) ? readBinary(input) : readText(input)
    for await (const batch of batches) await importer.take(batch, signal)
    return await importer.finish()
  } finally {
    importer.abandon()
    await input.close()
  }
}

/** A blob that is being imported, or only read past. */
interface Incoming {
  readonly writer: Writable | undefined
  readonly space: Space
  readonly head: KeptHead
  readonly totalBytes: number
  readonly place: string
  bytes: number
}

class Importer {
  readonly #store: OpenStore
  readonly #keepExisting: boolean
  readonly #report = { entries: 0, blobs: 0, expired: 0, kept: 0 }
  #blob: Incoming | undefined

  constructor(store: OpenStore, keepExisting: boolean) {
    this.#store = store
    this.#keepExisting = keepExisting
  }

  async take({ items, places }: Batch, signal: AbortSignal | undefined): Promise<void> {
    for (const [index, item] of items.entries()) {
      signal?.throwIfAborted()
      const place = places[index] as string
      await atPlace(place, () => this.#take(item, place))
    }
    // Writes of RAM never wait: others must have their turn.
    await nextTurn()
  }

  async finish(): Promise<ImportReport> {
    const blob = this.#blob
    if (blob !== undefined) throw damaged(blob.place, 'the input ends inside this blob')
    await this.#store.engine.flush()
    return this.#report
  }

  /** Whatever is half there goes. */
  abandon(): void {
    this.#blob?.writer?.destroy()
    this.#blob = undefined
  }

  async #take(item: Item, place: string): Promise<void> {
    const isInside = item.kind === 'chunk' || item.kind === 'end' || item.kind === 'lost'
    if (isInside !== (this.#blob !== undefined)) {
      const what = isInside ? 'a part of a blob without its head' : 'an entry between the parts of a blob'
      throw new RamcacheError('ERR_RAMCACHE_CORRUPT', `this is ${what}`)
    }
    switch (item.kind) {
      case 'entry':
        return this.#entry(item.head, item.value)
      case 'blob':
        return this.#begin(item.head, item.totalBytes, place)
      case 'chunk':
        return this.#chunk(item.bytes)
      case 'end':
        return this.#end(item.totalBytes)
      case 'lost':
        return this.abandon()
    }
  }

  async #entry(head: KeptHead, value: unknown): Promise<void> {
    const { key, options } = checkHead(head)
    const space = this.#store.engine.space(head.namespace)
    if (this.#isExpired(head)) return
    for (;;) {
      try {
        const write = () =>
          space.set(key, value, this.#keepExisting ? { ...options, ifAbsent: true } : options)
        const version = await whenRoom(this.#store.engine, write)
        this.#report[version === undefined ? 'kept' : 'entries']++
        return
      } catch (error) {
        if (error !== cold) throw error
        await space.resolve(key)
      }
    }
  }

  #isExpired({ expiresAt }: KeptHead): boolean {
    if (expiresAt === 0 || expiresAt > systemClock.nowMs()) return false
    this.#report.expired++
    return true
  }

  async #begin(head: KeptHead, totalBytes: number, place: string): Promise<void> {
    const { key, options } = checkHead(head)
    const { engine, blobs } = this.#store
    const space = engine.space(head.namespace)
    const isWanted = !this.#isExpired(head) && !(await this.#isThere(space, key))
    let writer: Writable | undefined
    if (isWanted) {
      const write = this.#keepExisting ? { ...options, ifAbsent: true } : options
      const { namespace } = head
      const target = {
        space,
        namespace,
        key,
        write,
        settle: () => undefined,
        isExpendable: engine.mayDrop(namespace),
        whenRoom: <T>(work: () => T) => whenRoom(engine, work),
      }
      writer = new BlobWriter(blobs, target, undefined)
      // Each write tells its own; this one is for what nobody waits for.
      writer.on('error', () => {})
    }
    this.#blob = { writer, space, head, totalBytes, place, bytes: 0 }
  }

  async #isThere(space: Space, key: Buffer): Promise<boolean> {
    if (!this.#keepExisting || (await space.look(key)) === undefined) return false
    this.#report.kept++
    return true
  }

  async #chunk(bytes: Buffer): Promise<void> {
    const blob = this.#blob as Incoming
    blob.bytes += bytes.length
    if (blob.bytes > blob.totalBytes) throw tooMany(blob)
    if (blob.writer === undefined) return
    await new Promise<void>((resolve, reject) => {
      blob.writer?.write(bytes, (error) => (error ? reject(error) : resolve()))
    })
  }

  async #end(totalBytes: number): Promise<void> {
    const blob = this.#blob as Incoming
    if (totalBytes !== blob.totalBytes || blob.bytes !== totalBytes) throw tooMany(blob)
    const { writer, space, head } = blob
    if (writer !== undefined) {
      // So that RAM can decide whether there is one already when it is published.
      if (this.#keepExisting) await space.resolve(head.key)
      const finished = once(writer, 'finish')
      writer.end()
      await finished.catch((error: unknown) => {
        if (error !== cold) throw error
        const message = 'what there is under this key left RAM again before the blob could be published'
        throw new RamcacheError('ERR_RAMCACHE_CONFLICT', message)
      })
      this.#report.entries++
      this.#report.blobs++
    }
    this.#blob = undefined
  }
}

function tooMany({ bytes, totalBytes }: Incoming): RamcacheError {
  return new RamcacheError('ERR_RAMCACHE_CORRUPT', `a blob of ${totalBytes} bytes has ${bytes}`)
}

function checkHead(head: KeptHead): { key: Buffer; options: WriteOptions } {
  checkNamespaceName(head.namespace)
  checkKey(head.key)
  const { expiresAt, idleMs, deadline, tags } = head
  if (idleMs > idleMsMax) throw configError(`idle is ${idleMs} ms, the limit is ${idleMsMax}`)
  const times = expiresAt === 0 ? {} : { expiresAt, deadline, ...(idleMs === 0 ? {} : { idleMs }) }
  return { key: head.key, options: { ...times, ...(tags.length === 0 ? {} : { tags }) } }
}
