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
import { chunkCountMax, chunkKey, encodeRecord, Manifest } from '../codec/blob.ts'
import {
  blobsNamespace,
  type Engine,
  type Key,
  type ReadEngine,
  type ReadSpace,
  type Space,
  type WriteOptions,
} from '../native/engine.ts'
import { BlobIds } from './blob-ids.ts'
import { type Holder, Leases } from './blob-leases.ts'
import { sweepEveryMs, sweepIds } from './blob-sweep.ts'
import { PinnedEntries } from './pinned.ts'

/** A chunk takes about a 128th of the budget, as a segment does, but no less and no more than these. */
const chunkBytesLeast = 16 * 1024
const chunkBytesMost = 256 * 1024
/** Chunks deleted without a pause: some tens of microseconds. */
const deletesPerTurn = 64
/** Chunks a record promises at first; doubled whenever they are used up. */
const chunkCountFirst = 16

/** Bytes of the chunks of new blobs, in a store of this budget. */
export function chunkBytesFor(budgetBytes: number): number {
  const share = 2 ** Math.floor(Math.log2(budgetBytes / 128))
  return Math.min(Math.max(share, chunkBytesLeast), chunkBytesMost)
}

/** The reading half, all that an attached process has. */
export class Blobs {
  readonly #engine: ReadEngine
  #chunks: ReadSpace | undefined

  constructor(engine: ReadEngine) {
    this.#engine = engine
  }

  /** From whatever tier has it; undefined when it is gone. Rejects when a tier cannot say. */
  async chunk(id: string, number: number): Promise<Buffer | undefined> {
    this.#chunks ??= this.#engine.space(blobsNamespace)
    const key = chunkKey(id, number)
    const found = this.#chunks.get(key) as Buffer | undefined
    if (found !== undefined || !this.#chunks.isCold) return found
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
  readonly write: WriteOptions | undefined
  /** Waits until the manifest is as safe as the write asks for. */
  settle(): Promise<void> | undefined
  /** Its chunks may go when the last tier is full. */
  readonly isExpendable: boolean
  /** Runs a write, again when it finds no room and there will be some. */
  whenRoom<T>(write: () => T): Promise<T>
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
  #pinned: PinnedEntries | undefined
  #leases: Leases | undefined
  #loaded: Promise<void> | undefined
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
    this.#chunkBytes ??= chunkBytesFor(this.#engine.counters().budgetBytes)
    return this.#chunkBytes
  }

  /** `holder` is the stream: when it is forgotten without being destroyed, its lease expires. */
  override lease(id: string, holder: Holder): () => void {
    return this.#allLeases.take(id, holder)
  }

  /** Before anything is begun: RAM has what an earlier run has left of the list. */
  ready(): Promise<void> {
    this.#loaded ??= this.#allIds.load().catch((error: unknown) => {
      this.#loaded = undefined
      throw error
    })
    return this.#loaded
  }

  /** Waits until everything written so far survives a power cut; undefined where nothing does. */
  settled(): Promise<void> | undefined {
    return this.#own.reachesBelow ? this.#engine.flush() : undefined
  }

  begin(target: BlobTarget, holder: Holder): Draft {
    const id = freshId()
    const release = this.lease(id, holder)
    const chunkCount = chunkCountFirst
    try {
      this.#record({ id, target, chunkCount })
      return { id, target, chunkCount, release, page: this.#allIds.add(id) }
    } catch (error) {
      this.#own.discard(id)
      release()
      throw error
    }
  }

  /** Records that there may be a chunk of this number; `settled` must follow, unless this returns false. */
  promise(draft: Draft, number: number): boolean {
    if (number < draft.chunkCount) return false
    const { id, target } = draft
    const chunkCount = Math.min(draft.chunkCount * 2, chunkCountMax)
    this.#record({ id, target, chunkCount })
    // Only now: when that has failed it is done again.
    draft.chunkCount = chunkCount
    return true
  }

  putChunk(draft: Draft, number: number, bytes: Buffer): void {
    const key = chunkKey(draft.id, number)
    if (draft.target.isExpendable) this.#own.setExpendable(key, bytes)
    else this.#own.set(key, bytes)
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
    await this.ready()
    if (!this.#allPinned.setPinned('sweep', Buffer.alloc(1), undefined, sweepEveryMs)) return 0
    return sweepIds({
      engine: this.#engine,
      own: this.#own,
      ids: this.#allIds,
      leases: this.#allLeases,
      forget: (id, chunkCount) => this.#forget(id, chunkCount),
    })
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

  /** Chunks, then the record, then `after`. Without a pause when the store is closing: there is no later turn. */
  async #forget(id: string, chunkCount: number, after?: () => void): Promise<void> {
    for (let number = 0; number < chunkCount; number++) {
      this.#own.discard(chunkKey(id, number))
      if (number % deletesPerTurn === deletesPerTurn - 1 && !this.#isClosing) await nextTurn()
    }
    this.#own.discard(id)
    after?.()
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

  get #allPinned(): PinnedEntries {
    this.#pinned ??= new PinnedEntries(this.#own)
    return this.#pinned
  }

  get #allIds(): BlobIds {
    this.#ids ??= new BlobIds(this.#allPinned, () => this.settled())
    return this.#ids
  }

  get #allLeases(): Leases {
    this.#leases ??= new Leases(this.#allPinned)
    return this.#leases
  }
}
