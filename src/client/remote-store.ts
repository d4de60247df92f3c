/**
 * A store that another process owns, as one thread of this process sees it: the arena that is attached at the time (none
 * over TCP), the link to the owner, and the namespaces over both. When another arena takes the place of the one before,
 * namespaces go over to it.
 */
import { RamcacheError } from '../base/errors.ts'
import { type EngineCounters, type ReadEngine, structuresNamespace } from '../native/engine.ts'
import { type AttachedEngine, attachArena } from '../native/open.ts'
import type { Channel } from './channel.ts'
import { bytesOf, listOf, textOf } from './commands.ts'
import type { RemoteAddress } from './dial.ts'
import { type LinkOptions, type OwnerInfo, OwnerLink } from './owner-link.ts'
import { RemoteLimits } from './remote-limits.ts'
import { RemoteLocks } from './remote-locks.ts'
import { RemoteSpace } from './remote-space.ts'
import type { LocalSpace, RemoteSource } from './shared-read.ts'
import { type UnmappedSource, UnmappedSpace } from './unmapped.ts'

/** Bytes, as the type number of a value. */
const typeBytes = 6

export class RemoteStore implements ReadEngine, RemoteSource, UnmappedSource {
  readonly link: OwnerLink
  readonly locks: RemoteLocks
  readonly limits: RemoteLimits
  readonly #nearEntries: number
  readonly #remote: RemoteAddress | undefined
  readonly #spaces = new Map<string, RemoteSpace>()
  /** Namespaces whose table of structures the owner has been asked to replace. */
  readonly #proposed = new Set<string>()
  #engine: AttachedEngine | undefined
  #arenaId = ''
  #isAttached = false
  #hasTiers = false
  #budgetBytes = 0
  #ownerPid = 0
  #mode: 'daemon' | 'embedded' = 'embedded'
  #isClosed = false

  constructor(options: Omit<LinkOptions, 'attach'>, nearEntries: number) {
    this.#nearEntries = nearEntries
    this.#remote = options.remote
    this.link = new OwnerLink({ ...options, attach: (info) => this.#attach(info) })
    this.locks = new RemoteLocks(this.link.hot)
    this.limits = new RemoteLimits(this.link.hot)
  }

  get hot(): Channel {
    return this.link.hot
  }

  get cold(): Channel {
    return this.link.cold
  }

  get hasTiers(): boolean {
    return this.#hasTiers
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  get isMapped(): boolean {
    return this.#remote === undefined
  }

  get mode(): 'daemon' | 'embedded' {
    return this.#mode
  }

  get ownerPid(): number {
    return this.#ownerPid
  }

  space(name: string): RemoteSpace {
    let space = this.#spaces.get(name)
    if (space === undefined) {
      space = new RemoteSpace(name, this, this.#local(name))
      this.#spaces.set(name, space)
    }
    return space
  }

  hasNamespace(name: string): boolean {
    return !this.isMapped || this.#attached.hasNamespace(name)
  }

  counters(): EngineCounters {
    return this.#attached.counters()
  }

  /** Of the store, when this process has found its owner. */
  get budgetBytes(): number {
    return this.#budgetBytes
  }

  /** `Stats`, from the owner. */
  async stats(): Promise<unknown> {
    return JSON.parse(textOf(await this.hot.request('RC.STATS', [], true), 'RC.STATS'))
  }

  async flush(): Promise<void> {
    await this.hot.request('RC.FLUSH', [], false)
  }

  close(): void {
    this.#isClosed = true
    this.#engine?.close()
  }

  #local(name: string): LocalSpace {
    if (this.isMapped) return this.#attached.space(name)
    this.ensureOpen()
    return new UnmappedSpace(name, this)
  }

  ensureOpen(): void {
    if (this.#isClosed) throw closedError()
  }

  async structuresOf(namespace: string): Promise<Buffer | undefined> {
    // Neither counted nor a use.
    const reply = await this.cold.request('RC.ENTRY', [structuresNamespace, namespace, 'LOOK'], true)
    if (reply === null) return undefined
    return Buffer.from(bytesOf(listOf(reply, 'RC.ENTRY')[1], 'RC.ENTRY'))
  }

  get #attached(): AttachedEngine {
    if (this.#engine === undefined || this.#isClosed) {
      throw closedError()
    }
    return this.#engine
  }

  #attach(info: OwnerInfo): void {
    this.#hasTiers = info.hasTiers
    this.#budgetBytes = info.budgetBytes
    this.#mode = info.mode
    this.#ownerPid = info.pid
    this.#proposed.clear()
    // An arena that was taken over is the same, with what is in it.
    if (this.#isAttached && info.arenaId === this.#arenaId) return
    this.#isAttached = true
    if (!this.isMapped) {
      this.#arenaId = info.arenaId
      for (const [name, space] of this.#spaces) space.use(this.#local(name))
      return
    }
    const engine = attachArena(info, this.#nearEntries, (namespace, table, version) => {
      this.#propose(namespace, table, version)
    })
    const before = this.#engine
    this.#engine = engine
    this.#arenaId = info.arenaId
    for (const [name, space] of this.#spaces) space.use(engine.space(name))
    before?.close()
  }

  /** One at a time: the next one contains what this one has, or what was stored instead. */
  #propose(namespace: string, table: Uint8Array, version: string | undefined): void {
    if (this.#proposed.has(namespace)) return
    this.#proposed.add(namespace)
    const condition = version === undefined ? ['NX'] : ['IFVERSION', version]
    const durability = this.#hasTiers ? ['DURABILITY', 'async'] : []
    const args = [structuresNamespace, namespace, typeBytes, table, 'PINNED', ...condition, ...durability]
    const done = () => {
      this.#proposed.delete(namespace)
    }
    // Without room for it values go on carrying their names themselves, until the next owner is asked.
    this.hot.request('RC.SET', args, false).then(done, () => {})
  }
}

function closedError(): RamcacheError {
  return new RamcacheError('ERR_RAMCACHE_CLOSED', 'the cache is closed')
}
