/**
 * Where blobs are kept: their chunks, what is known of each id, and leases, all in one namespace of the store's own
 * that no scan, clear or name of a user reaches.
 *
 * ```text
 * ID/NUMBER   a chunk                          ID     its record (codec/blob.ts), made before the first chunk
 * ID+         lease, pinned, with an expiry: how many streams write or read the id
 * page/N, root                                 all ids (blob-ids.ts)
 * sweep       there while no other sweep may begin
 * ```
 *
 * Invariants:
 * - A manifest is published only while its writer's lease stands, and an id is published once. So an id that has
 *   neither a lease nor a manifest will never have a manifest again, and the sweep may take it.
 * - A reader takes its lease, then looks whether the manifest still stands. The sweep looks for the manifest, then for
 *   the lease. So one of the two sees the other.
 * - The record of an id is there before its chunks, and goes after them.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { RamcacheError } from '../base/errors.ts'
import { freshId } from '../base/prng.ts'
import {
  type BlobRecord,
  chunkCountMax,
  chunkKey,
  decodeRecord,
  encodeRecord,
  Manifest,
} from '../codec/blob.ts'
import type { ValidatedWrite } from '../config/call-options.ts'
import {
  blobsNamespace,
  cold,
  type Engine,
  type Key,
  type ReadEngine,
  type ReadSpace,
  type Space,
} from '../native/engine.ts'
import { BlobIds } from './blob-ids.ts'
import { type Holder, Leases } from './blob-leases.ts'

/** A chunk takes about a 128th of the budget, as a segment does, but no less and no more than these. */
const chunkBytesLeast = 16 * 1024
const chunkBytesMost = 256 * 1024
/**
 * Between two sweeps. What has lost its manifest goes in the second sweep that sees it: readers of other processes,
 * which cannot take a lease, have that long to finish.
 */
export const sweepEveryMs = 15_000
/** Chunks deleted without a pause: some tens of microseconds. */
const deletesPerTurn = 64
/** Chunks a record promises at first; doubled whenever they are used up. */
const chunkCountFirst = 16

/** The reading half, all that an attached process has. */
export class Blobs {
  readonly #engine: ReadEngine
  #chunks: ReadSpace | undefined

  constructor(engine: ReadEngine) {
    this.#engine = engine
  }

  /** Undefined when it is gone. Asynchronous, as the tiers below RAM are. */
  async chunk(id: string, number: number): Promise<Buffer | undefined> {
    this.#chunks ??= this.#engine.space(blobsNamespace)
    const key = chunkKey(id, number)
    const found = this.#chunks.get(key)
    if (found !== undefined || !this.#chunks.isCold) return found as Buffer | undefined
    return this.#chunks.fetch(key) as Promise<Buffer | undefined>
  }

  /** Keeps the chunks of an id until it is released; attached processes cannot. */
  lease(_id: string, _holder: Holder): (() => void) | undefined {
    return undefined
  }

  close(): void {}
}

/** Where a blob is going to be published. */
export interface BlobTarget {
  readonly space: Space
  readonly namespace: string
  readonly key: Key
  readonly write: ValidatedWrite | undefined
  /** What the writer waits for once the blob is published; see `Engine.settle`. */
  readonly settle: () => Promise<void> | undefined
}

/** A blob that is being written: nobody can read it yet. */
export interface Draft {
  readonly id: string
  readonly target: BlobTarget
  /** Where its id is listed. */
  readonly page: number
  /** What its record promises. */
  chunkCount: number
  readonly release: () => void
}

/** Both halves, in the owner. */
export class OwnedBlobs extends Blobs {
  readonly #engine: Engine
  readonly #timer: NodeJS.Timeout
  #space: Space | undefined
  #ids: BlobIds | undefined
  #leases: Leases | undefined
  #chunkBytes: number | undefined
  #isSweeping = false
  #isClosing = false

  constructor(engine: Engine) {
    super(engine)
    this.#engine = engine
    this.#timer = setInterval(() => this.#sweepInBackground(), sweepEveryMs)
    this.#timer.unref()
  }

  /** Bytes of the chunks of a new blob. */
  get chunkBytes(): number {
    if (this.#chunkBytes === undefined) {
      const share = 2 ** Math.floor(Math.log2(this.#engine.counters().budgetBytes / 128))
      this.#chunkBytes = Math.min(Math.max(share, chunkBytesLeast), chunkBytesMost)
    }
    return this.#chunkBytes
  }

  /** `holder` is the stream: when it is forgotten without being destroyed, its lease expires. */
  override lease(id: string, holder: Holder): () => void {
    return this.#allLeases.take(id, holder)
  }

  begin(target: BlobTarget, holder: Holder): Draft {
    const id = freshId()
    const release = this.lease(id, holder)
    const chunkCount = chunkCountFirst
    try {
      this.#record({ id, target, chunkCount })
      return { id, target, chunkCount, release, page: this.#allIds.add(id) }
    } catch (error) {
      this.#delete(id)?.catch(() => {})
      release()
      throw error
    }
  }

  putChunk(draft: Draft, number: number, bytes: Buffer): void {
    if (number >= draft.chunkCount) {
      draft.chunkCount = Math.min(draft.chunkCount * 2, chunkCountMax)
      this.#record(draft)
    }
    this.#own.set(chunkKey(draft.id, number), bytes)
  }

  /** Makes it visible, at once and as a whole. Throws ERR_RAMCACHE_UNAVAILABLE when the lease was lost. */
  publish(draft: Draft, totalBytes: number, chunkBytes: number): void {
    const manifest = new Manifest({ id: draft.id, totalBytes, chunkBytes })
    draft.chunkCount = manifest.chunkCount
    this.#record(draft)
    if (!this.#allLeases.renew(draft.id)) {
      const message =
        'the writer of a blob stood still for longer than its lease: what it had written is gone'
      throw new RamcacheError('ERR_RAMCACHE_UNAVAILABLE', message)
    }
    draft.target.space.setManifest(draft.target.key, manifest, draft.target.write)
    draft.release()
  }

  /** A blob of no bytes has no chunks, so there is nothing to keep record of. */
  publishEmpty(target: BlobTarget, chunkBytes: number): void {
    const manifest = new Manifest({ id: freshId(), totalBytes: 0, chunkBytes })
    target.space.setManifest(target.key, manifest, target.write)
  }

  /** Deletes what a draft has written: nothing of it stays. At once when the store is closing. */
  async abandon(draft: Draft, chunkCount: number): Promise<void> {
    try {
      await this.#forget(draft.id, chunkCount, () => {
        this.#allIds.remove(draft.id, draft.page)
        draft.release()
      })
    } finally {
      // Whatever is left is the sweep's.
      draft.release()
    }
  }

  /**
   * Deletes chunks that no manifest, writer or reader needs, in slices. The number of blobs that went. Does nothing
   * when another thread has swept within the last `sweepEveryMs`.
   */
  async sweep(): Promise<number> {
    if (!this.#own.setPinned('sweep', Buffer.alloc(1), undefined, sweepEveryMs)) return 0
    return this.#allIds.drain((id) => this.#keeps(id))
  }

  /** Ends the streams that are still open, and forgets what was not published. */
  override close(): void {
    this.#isClosing = true
    clearInterval(this.#timer)
    this.#leases?.close()
  }

  #sweepInBackground(): void {
    if (this.#isSweeping) return
    this.#isSweeping = true
    const sweep = async () => {
      try {
        if (this.#engine.hasNamespace(blobsNamespace)) await this.sweep()
      } catch (error) {
        // A store that is full or closed: the next sweep tries again, and nothing but room depends on it.
        if (!(error instanceof RamcacheError)) throw error
      } finally {
        this.#isSweeping = false
      }
    }
    void sweep()
  }

  /** Whether an id stays; one that does not is deleted here. */
  async #keeps(id: string): Promise<boolean> {
    await nextTurn()
    const found = await this.#own.peekBelow(id)
    // A lease without a record is of a writer whose record was evicted; it will write it again.
    if (found === undefined) return this.#allLeases.stands(id)
    const record = await readable(async () => decodeRecord(found.value as Buffer))
    if (record === undefined) {
      // Nobody knows what it led to. Those chunks are read by nobody and leave as all that is cold.
      await this.#delete(id, found.version)
      return false
    }
    if ((await this.#isPublished(id, record)) || this.#allLeases.stands(id)) return true
    if (!record.isSuspected) {
      const suspected = encodeRecord({ ...record, isSuspected: true })
      await this.#decide(id, () => this.#own.set(id, suspected, { ifVersion: found.version }))
      return true
    }
    await this.#forget(id, record.chunkCount)
    return false
  }

  async #isPublished(id: string, { namespace, key }: BlobRecord): Promise<boolean> {
    const value = await readable(async () => (await this.#engine.space(namespace).peekBelow(key))?.value)
    return value instanceof Manifest && value.id === id
  }

  /** Chunks, then the record, then `after`. Without a pause when the store is closing: there is no later turn. */
  async #forget(id: string, chunkCount: number, after?: () => void): Promise<void> {
    for (let number = 0; number < chunkCount; number++) {
      const waits = this.#delete(chunkKey(id, number))
      if (waits !== undefined) await waits
      if (number % deletesPerTurn === deletesPerTurn - 1 && !this.#isClosing) await nextTurn()
    }
    const waits = this.#delete(id)
    if (waits !== undefined) await waits
    after?.()
  }

  /** Undefined when it is done already: of a store that closes there is no later turn. */
  #delete(key: string, ifVersion?: string): Promise<void> | undefined {
    return this.#decide(key, () => this.#own.delete(key, ifVersion))
  }

  /** Runs what depends on what there is, in whatever tier. */
  #decide(key: string, decision: () => unknown): Promise<void> | undefined {
    try {
      decision()
      return undefined
    } catch (error) {
      if (error !== cold) throw error
      // What lies below when the store closes is the next sweep's.
      if (this.#isClosing) return undefined
      return this.#own.resolve(key).then(() => this.#decide(key, decision))
    }
  }

  #record({ id, target, chunkCount }: Pick<Draft, 'id' | 'target' | 'chunkCount'>): void {
    const { namespace, key } = target
    const bytes = typeof key === 'string' ? Buffer.from(key) : key
    this.#own.set(id, encodeRecord({ isSuspected: false, chunkCount, namespace, key: bytes }))
  }

  /** Opened by whoever first needs it: a store without blobs has no such namespace. */
  get #own(): Space {
    this.#space ??= this.#engine.space(blobsNamespace)
    return this.#space
  }

  get #allIds(): BlobIds {
    this.#ids ??= new BlobIds(this.#own)
    return this.#ids
  }

  get #allLeases(): Leases {
    this.#leases ??= new Leases(this.#own)
    return this.#leases
  }
}

/** Undefined for what is damaged. */
async function readable<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read()
  } catch (error) {
    if (error instanceof RamcacheError && error.code === 'ERR_RAMCACHE_CORRUPT') return undefined
    throw error
  }
}
