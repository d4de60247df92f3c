/** Opens the native store of a directory, or attaches to that of another process. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { RamcacheError } from '../base/errors.ts'
import type { StructureStore } from '../codec/structures.ts'
import { ValueCodec } from '../codec/value.ts'
import { ArenaView } from './arena-view.ts'
import { AttachedSpace } from './attached-space.ts'
import { binding, type NativeHandle, translate } from './binding.ts'
import { ColdReads } from './cold.ts'
import {
  blobsNamespace,
  type Durability,
  type Engine,
  type EngineCounters,
  type NamespaceCounters,
  type ReadEngine,
  structuresNamespace,
} from './engine.ts'
import { NativeLimits } from './limits.ts'
import { NativeLocks } from './locks.ts'
import { NearCache } from './near-cache.ts'
import { scratchBuffer } from './scratch.ts'
import type { Codec, MakeNear, NativeReadSpace } from './space.ts'
import { NativeWriteSpace } from './write-space.ts'

/** For tests and the replay tool. */
export interface InternalOptions {
  readonly counting?: 'payload' | 'everything'
  /** Where shared files are made. */
  readonly shmDir?: string
  /** Without the background thread everything happens in the order of the calls. */
  readonly background?: boolean
  readonly clock?: 'manual'
  readonly isDaemon?: boolean
}

export interface EngineOptions {
  readonly dir: string
  readonly memoryBytes: number
  /** Tiers below RAM will be started: until then nothing leaves RAM. */
  readonly ssd?: { readonly path: string }
  readonly namespaces: Readonly<Record<string, { readonly ttlMs?: number }>>
  readonly nearEntries: number
  readonly internal?: InternalOptions
}

abstract class EngineBase<S extends NativeReadSpace> {
  protected readonly handle: NativeHandle
  protected readonly spaces = new Map<string, S>()
  readonly #nearEntries: number
  readonly #view: ArenaView
  #isClosed = false

  constructor(handle: NativeHandle, nearEntries: number) {
    this.handle = handle
    this.#nearEntries = nearEntries
    this.#view = new ArenaView(handle)
  }

  /** For a space of the user's. */
  protected readonly makeNear: MakeNear = (native) => {
    if (this.#nearEntries === 0) return undefined
    if (!this.#view.isOpen) this.#view.open()
    return new NearCache(this.#view, native.place(), { entries: this.#nearEntries })
  }

  protected abstract makeSpace(name: string): S

  space(name: string): S {
    this.ensureOpen()
    let space = this.spaces.get(name)
    if (space === undefined) {
      try {
        space = this.makeSpace(name)
      } catch (error) {
        translate(error)
      }
      this.spaces.set(name, space)
    }
    return space
  }

  counters(): EngineCounters & { readonly ownerPid: number } {
    this.ensureOpen()
    const counts = JSON.parse(binding().countStore(this.handle))
    // What the store keeps for itself is not the user's; the bytes of blobs are.
    for (const namespace of Object.keys(counts.namespaces)) {
      if (!namespace.startsWith(' ')) continue
      const own: NamespaceCounters = counts.namespaces[namespace]
      for (const name of ['entries', 'hits', 'misses'] as const) counts[name] -= own[name]
      if (namespace !== blobsNamespace) {
        counts.bytes -= own.bytes
        counts.overheadBytes += own.bytes
      }
      delete counts.namespaces[namespace]
    }
    return counts
  }

  hasNamespace(name: string): boolean {
    this.ensureOpen()
    return name in JSON.parse(binding().countStore(this.handle)).namespaces
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const space of this.spaces.values()) space.close()
    this.#view.close()
    binding().closeStore(this.handle, false)
  }

  protected ensureOpen(): void {
    if (this.#isClosed) throw new RamcacheError('ERR_RAMCACHE_CLOSED', 'the cache is closed')
  }

  get ownerPid(): number {
    return this.counters().ownerPid
  }
}

class NativeEngine extends EngineBase<NativeWriteSpace> implements Engine {
  readonly mode: 'daemon' | 'embedded'
  /** Also without tiers of its own: another one in this process may have given the store some. */
  readonly #cold: ColdReads
  readonly #isAnonymous: boolean
  readonly #droppable = new Set<string>()
  readonly limits: NativeLimits
  #locks: NativeLocks | undefined

  constructor(handle: NativeHandle, nearEntries: number, isDaemon: boolean) {
    super(handle, nearEntries)
    this.mode = isDaemon ? 'daemon' : 'embedded'
    this.#cold = new ColdReads(handle)
    this.limits = new NativeLimits(handle)
    this.#isAnonymous = JSON.parse(binding().countStore(handle)).isAnonymous
  }

  /** Whether the store has tiers below RAM, through whomever in this process. */
  get hasTiers(): boolean {
    return this.#cold.reachesBelow
  }

  get locks(): NativeLocks {
    this.ensureOpen()
    this.#locks ??= new NativeLocks(this.handle)
    return this.#locks
  }

  settle(durability: Durability): Promise<void> | undefined {
    // What nearly every write is: in shared memory that outlives this process.
    if (durability === 'async' && !this.#isAnonymous) return undefined
    if (!this.#cold.reachesBelow) return undefined
    if (durability === 'none') return this.#cold.covered()
    return durability === 'sync' ? this.#cold.durable() : this.#cold.logged()
  }

  setPins(namespace: string, pins: boolean): void {
    binding().setPins(this.handle, namespace, pins)
  }

  setQuota(namespace: string, bytes: number): void {
    binding().setQuota(this.handle, namespace, bytes)
  }

  setMayDrop(namespace: string, mayDrop: boolean): void {
    binding().setMayDrop(this.handle, namespace, mayDrop)
    if (mayDrop) this.#droppable.add(namespace)
    else this.#droppable.delete(namespace)
  }

  mayDrop(namespace: string): boolean {
    return this.#droppable.has(namespace)
  }

  get isMakingRoom(): boolean {
    return binding().isMakingRoom(this.handle)
  }

  get native(): NativeHandle {
    return this.handle
  }

  /** Brings a pinned entry of an earlier run into RAM. @internal */
  async recall(namespace: string, key: string): Promise<void> {
    await this.space(namespace).resolve(key)
  }

  async flush(): Promise<void> {
    this.ensureOpen()
    if (this.#cold.reachesBelow) await this.#cold.durable()
  }

  override close(): void {
    this.#locks?.close()
    this.#locks = undefined
    this.#cold.close()
    super.close()
  }

  /** Counts this one out, before it is closed. Whether it was the last in this process. @internal */
  leave(): boolean {
    return binding().leaveStore(this.handle) === 0
  }

  protected override makeSpace(name: string): NativeWriteSpace {
    const open = () => binding().openSpace(this.handle, name, scratchBuffer)
    if (isOwn(name)) return new NativeWriteSpace(open, rawBytes, this.#cold)
    return new NativeWriteSpace(open, new ValueCodec(this.#structures(name)), this.#cold, this.makeNear)
  }

  /** The structures of a namespace are one pinned entry, replaced only by whoever saw the one before. */
  #structures(name: string): StructureStore {
    return {
      load: () => this.space(structuresNamespace).getEntry(name)?.value as Uint8Array | undefined,
      save: (next, previous) => {
        const space = this.space(structuresNamespace)
        const entry = space.getEntry(name)
        if (!isSame(entry?.value as Uint8Array | undefined, previous)) return false
        return space.setPinned(name, next, entry?.version)
      },
    }
  }

  resize(budgetBytes: number): void {
    this.ensureOpen()
    try {
      binding().resizeStore(this.handle, budgetBytes)
    } catch (error) {
      translate(error)
    }
  }

  check(): void {
    this.ensureOpen()
    try {
      binding().checkStore(this.handle)
    } catch (error) {
      translate(error)
    }
  }

  /** Moves the manual clock on. @internal */
  advance(ms: number): void {
    binding().advanceClock(this.handle, ms)
  }

  /** A batch of committed changes, or null when those from `from` on are gone. @internal */
  readFeed(from: number, bytesMax: number): { next: number; bytes: Buffer } | null {
    return binding().readFeed(this.handle, from, bytesMax)
  }
}

/** Asks the owner to store a table of structures, in place of the one that has `version`. Nobody waits for it. */
export type Propose = (namespace: string, table: Uint8Array, version: string | undefined) => void

export class AttachedEngine extends EngineBase<AttachedSpace> implements ReadEngine {
  /** What it is read from does not say. */
  readonly mode = 'embedded'
  readonly #propose: Propose | undefined

  /** Without `propose`, values can only be read. */
  constructor(handle: NativeHandle, nearEntries: number, propose?: Propose) {
    super(handle, nearEntries)
    this.#propose = propose
  }

  protected override makeSpace(name: string): AttachedSpace {
    const open = () => binding().openSpace(this.handle, name, scratchBuffer)
    if (isOwn(name)) return new AttachedSpace(open, rawBytes)
    return new AttachedSpace(open, new ValueCodec(this.#structures(name)), undefined, this.makeNear)
  }

  #structures(name: string): StructureStore {
    const stored = () => this.space(structuresNamespace).getEntry(name)
    return {
      load: () => stored()?.value as Uint8Array | undefined,
      save: (next, previous) => {
        if (this.#propose === undefined) {
          throw new RamcacheError('ERR_RAMCACHE_UNAVAILABLE', 'this process only reads the store')
        }
        const entry = stored()
        if (!isSame(entry?.value as Uint8Array | undefined, previous)) return false
        this.#propose(name, next, entry?.version)
        return undefined
      },
    }
  }
}

const noBytes = new Uint8Array(0)

function isSame(one: Uint8Array | undefined, other: Uint8Array | undefined): boolean {
  return Buffer.compare(one ?? noBytes, other ?? noBytes) === 0
}

/** For the store's own entries, which are bytes only. */
const rawBytes: Codec = {
  encode: (value) => ({ type: 6, bytes: value as Uint8Array }),
  // A copy: the source is memory that the next read uses again.
  decode: (_type, source, start, end) => Buffer.from(source.subarray(start, end)),
}

function isOwn(name: string): boolean {
  return name === structuresNamespace || name === blobsNamespace
}

/** Throws what `open` of the core throws: CONFIG, FULL, LOCKED, UNAVAILABLE. */
export function openEngine(options: EngineOptions): NativeEngine {
  const internal = options.internal ?? {}
  try {
    const handle = binding().openStore({
      dir: options.dir,
      memoryBytes: options.memoryBytes,
      countsPayload: internal.counting === 'payload',
      background: internal.background ?? true,
      manualClock: internal.clock === 'manual',
      ...(options.ssd === undefined ? {} : { tiersDir: options.ssd.path }),
      ...(internal.shmDir === undefined ? {} : { sharedMemoryDir: internal.shmDir }),
    })
    return new NativeEngine(handle, options.nearEntries, internal.isDaemon ?? false)
  } catch (error) {
    translate(error)
  }
}

/** The store that this process has open, for a thread that serves it: it does not keep the store open. */
export function joinEngine(dir: string, isDaemon: boolean): NativeEngine {
  try {
    return new NativeEngine(binding().joinStore(dir), 0, isDaemon)
  } catch (error) {
    translate(error)
  }
}

/** Throws ERR_RAMCACHE_UNAVAILABLE when nobody owns the directory, ERR_RAMCACHE_CORRUPT for what is not an arena. */
export function attachEngine(options: {
  readonly dir: string
  readonly nearEntries: number
}): AttachedEngine {
  return attachArena(ownerOf(options.dir), options.nearEntries)
}

/** Attaches to an arena by its files. Throws ERR_RAMCACHE_UNAVAILABLE, ERR_RAMCACHE_CORRUPT. */
export function attachArena(files: ArenaFiles, nearEntries: number, propose?: Propose): AttachedEngine {
  try {
    return new AttachedEngine(binding().attachStore(files.data, files.touch), nearEntries, propose)
  } catch (error) {
    translate(error)
  }
}

export interface ArenaFiles {
  readonly data: string
  readonly touch: string
}

/** What the owner of a directory says of itself. */
export interface OwnerFile extends ArenaFiles {
  readonly pid: number
  /** Where it listens; empty when it lets nobody join, undefined while it has not said so. */
  readonly socket: string | undefined
}

/** Throws ERR_RAMCACHE_UNAVAILABLE when no live process owns the directory. */
export function ownerOf(dir: string): OwnerFile {
  const path = join(dir, 'owner')
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    const message = `no process owns ${dir}: ${(error as Error).message}`
    throw new RamcacheError('ERR_RAMCACHE_UNAVAILABLE', message, error)
  }
  if (!isOwned(dir)) {
    const message = `no process owns ${dir}: the last owner ended without closing it`
    throw new RamcacheError('ERR_RAMCACHE_UNAVAILABLE', message)
  }
  return parseOwner(path, text)
}

/** Whether a live process, this one or another, holds the lock of a directory. */
export function isOwned(dir: string): boolean {
  return binding().isOwned(dir)
}

function parseOwner(path: string, text: string): OwnerFile {
  let owner: unknown
  try {
    owner = JSON.parse(text)
  } catch (error) {
    throw new RamcacheError('ERR_RAMCACHE_CORRUPT', `${path} is not JSON`, error)
  }
  const { pid, data, touch, socket } = (owner ?? {}) as Record<string, unknown>
  if (typeof data !== 'string' || typeof touch !== 'string') {
    throw new RamcacheError('ERR_RAMCACHE_CORRUPT', `${path} does not say where the arena is`)
  }
  return { pid: Number(pid), data, touch, socket: typeof socket === 'string' ? socket : undefined }
}
