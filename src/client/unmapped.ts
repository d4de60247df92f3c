/**
 * A store whose memory this process does not see, for it may be that of another machine: every read says "ask the owner".
 *
 * Objects may have been stored with structures of their namespace (`codec/structures.ts`). The table of these is asked for
 * when a value needs more of it than is here; as tables only grow, what is here stays right for as long as the owner has the
 * same arena. What is written from here carries the names of its fields itself.
 */
import { decodeManifest } from '../codec/blob.ts'
import { checkKey } from '../codec/key.ts'
import { type Encoded, ValueCodec } from '../codec/value.ts'
import {
  blobsNamespace,
  type Key,
  type KeyPage,
  type ScanPage,
  structuresNamespace,
} from '../native/engine.ts'
import { Cold } from '../native/scratch.ts'
import type { LocalSpace } from './shared-read.ts'

/** The store it is in. */
export interface UnmappedSource {
  /** Throws ERR_RAMCACHE_CLOSED. */
  ensureOpen(): void
  /** The stored table of a namespace; `undefined` when there is none. */
  structuresOf(namespace: string): Promise<Buffer | undefined>
}

/** Of a manifest, as the type number of a value. */
const typeBlob = 11

export class UnmappedSpace implements LocalSpace {
  readonly #name: string
  readonly #source: UnmappedSource
  /** `undefined` for what the store keeps for itself: bytes. */
  readonly #codec: ValueCodec | undefined
  #table: Buffer | undefined
  #learning: Promise<boolean> | undefined

  constructor(name: string, source: UnmappedSource) {
    this.#name = name
    this.#source = source
    const isOwn = name === blobsNamespace || name === structuresNamespace
    const structures = { load: () => this.#table, save: () => undefined }
    this.#codec = isOwn ? undefined : new ValueCodec(structures)
  }

  get(key: Key): undefined {
    this.#source.ensureOpen()
    checkKey(key)
  }

  getFrozen(key: Key): undefined {
    this.get(key)
  }

  getEntry(key: Key): undefined {
    this.get(key)
  }

  peek(key: Key): undefined {
    this.get(key)
  }

  has(key: Key): boolean {
    this.get(key)
    return false
  }

  scan(): ScanPage {
    return { entries: [], cursor: undefined }
  }

  scanKeys(): KeyPage {
    return { keys: [], cursor: undefined }
  }

  takeAfterRead(): number {
    return Cold.maybe
  }

  /** The owner reads what it is asked for in one command whole. */
  group(): number {
    return 0
  }

  /** Nobody but the owner counts. */
  takeBackMiss(): void {}

  takeBackHit(): void {}

  encode(value: unknown): Encoded {
    return this.encodeSelfContained(value)
  }

  encodeSelfContained(value: unknown): Encoded {
    return (this.#codec as ValueCodec).encodeSelfContained(value)
  }

  decode(type: number, bytes: Buffer): unknown {
    // A copy: it may be part of much more that has come with it.
    if (this.#codec === undefined) return Buffer.from(bytes)
    return this.#codec.decode(type, bytes, 0, bytes.length)
  }

  decodeEntry(type: number, bytes: Buffer): unknown {
    return type === typeBlob ? decodeManifest(Buffer.from(bytes)) : this.decode(type, bytes)
  }

  learn(): Promise<boolean> {
    this.#learning ??= this.#learn().finally(() => {
      this.#learning = undefined
    })
    return this.#learning
  }

  async #learn(): Promise<boolean> {
    const known = this.#table?.length ?? 0
    const table = await this.#source.structuresOf(this.#name)
    if (table === undefined || table.length <= known) return false
    this.#table = table
    return true
  }
}
