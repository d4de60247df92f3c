/**
 * Reads of one namespace of a store that another process owns: out of its shared memory, and from the owner over the
 * socket what only a lower tier can have.
 *
 * The owner counts what it is asked for, hit or miss; the miss that the look into shared memory counted before is taken
 * back with its answer. Where an entry slides, the owner is told of the read: only it can write.
 *
 * When the owner has closed its arena, or has begun another one, there is nothing in memory to be read until the link is up
 * again; then every key may be below.
 */
import { RamcacheError } from '../base/errors.ts'
import type { Encoded } from '../codec/value.ts'
import type { Entry, Key, KeyPage, ReadSpace, ScanCursor, ScanPage, WholeEntry } from '../native/engine.ts'
import { keyText, ownKey } from '../native/keys.ts'
import { Cold } from '../native/scratch.ts'
import type { Channel } from './channel.ts'
import { bytesOf, listOf, numberOf, textOf } from './commands.ts'
import type { Reply } from './replies.ts'

/** What can be had of a namespace without asking the owner: what is in the shared memory (`AttachedSpace`), or nothing. */
export interface LocalSpace {
  get(key: Key): unknown
  getFrozen(key: Key): unknown
  has(key: Key): boolean
  getEntry(key: Key): Entry | undefined
  peek(key: Key): Entry | undefined
  scan(cursor: ScanCursor | undefined, prefix: string): ScanPage
  scanKeys(cursor: ScanCursor | undefined): KeyPage
  takeAfterRead(): number
  group(): number
  takeBackMiss(): void
  takeBackHit(): void
  encode(value: unknown): Encoded
  encodeSelfContained(value: unknown): Encoded
  decode(type: number, bytes: Buffer): unknown
  decodeEntry(type: number, bytes: Buffer): unknown
  /** After a value that could not be decoded: whether it may be now. */
  learn?(): Promise<boolean>
}

/** What a namespace needs of the store it is in. */
export interface RemoteSource {
  /** The memory of the store is mapped here. */
  readonly isMapped: boolean
  readonly hasTiers: boolean
  readonly isClosed: boolean
  /** For writes, and for what must not come before them. */
  readonly hot: Channel
  /** For reads that may have to wait for a disk. */
  readonly cold: Channel
}

/** Keys that the owner is asked for in one command. */
const keysPerCommand = 1024
/** Attempts of `getMany` to see every group whole before it takes what it has. */
const groupRetriesMax = 64

export class SharedRead implements ReadSpace {
  readonly name: string
  protected readonly source: RemoteSource
  protected shared: LocalSpace
  /** What the last read left to do. */
  #afterRead: number = Cold.no

  constructor(name: string, source: RemoteSource, shared: LocalSpace) {
    this.name = name
    this.source = source
    this.shared = shared
  }

  /** From now on reads go to this arena. */
  use(shared: LocalSpace): void {
    this.shared = shared
  }

  get reachesBelow(): boolean {
    // Where nothing is mapped, everything is below what can be seen.
    return this.source.hasTiers || !this.source.isMapped
  }

  get isCold(): boolean {
    const after = this.#afterRead
    return after === Cold.maybe || (after === Cold.noFilter && this.source.hasTiers)
  }

  get(key: Key): unknown {
    try {
      const value = this.shared.get(key)
      this.#note(key)
      return value
    } catch (error) {
      return this.#ended(error, undefined)
    }
  }

  getFrozen(key: Key): unknown {
    try {
      const value = this.shared.getFrozen(key)
      this.#note(key)
      return value
    } catch (error) {
      return this.#ended(error, undefined)
    }
  }

  has(key: Key): boolean {
    try {
      const isThere = this.shared.has(key)
      this.#note(key)
      return isThere
    } catch (error) {
      return this.#ended(error, false)
    }
  }

  getEntry(key: Key): Entry | undefined {
    try {
      const entry = this.shared.getEntry(key)
      this.#note(key)
      return entry
    } catch (error) {
      return this.#ended(error, undefined)
    }
  }

  peek(key: Key): Entry | undefined {
    try {
      const entry = this.shared.peek(key)
      this.#afterRead = this.shared.takeAfterRead()
      return entry
    } catch (error) {
      return this.#ended(error, undefined)
    }
  }

  async fetch(key: Key): Promise<unknown> {
    const reply = await this.#ask('RC.GET', [key])
    this.shared.takeBackMiss()
    return this.#valueOf(reply, 'RC.GET')
  }

  async fetchHas(key: Key): Promise<boolean> {
    const reply = await this.#ask('RC.HAS', [key])
    this.shared.takeBackMiss()
    return numberOf(reply, 'RC.HAS') === 1
  }

  async fetchEntry(key: Key): Promise<Entry | undefined> {
    const own = ownKey(key)
    const reply = await this.#ask('RC.ENTRY', [own])
    this.shared.takeBackMiss()
    const whole = await this.entryOf(own, reply)
    if (whole === undefined) return undefined
    const { idleMs: _, deadline: __, ...entry } = whole
    return entry
  }

  async look(key: Key): Promise<Entry | undefined> {
    const entry = this.peek(key)
    return entry === undefined && this.isCold ? this.lookWhole(key) : entry
  }

  async lookWhole(key: Key): Promise<WholeEntry | undefined> {
    const own = ownKey(key)
    return this.entryOf(own, await this.#ask('RC.ENTRY', [own, 'LOOK']))
  }

  getMany(keys: readonly Key[]): Map<Key, unknown> {
    const found = new Map<Key, unknown>()
    for (let attempt = 1; ; attempt++) {
      found.clear()
      const before = this.#group()
      for (const key of keys) {
        const value = this.get(key)
        if (value !== undefined) found.set(key, value)
      }
      if (this.#group() === before || attempt === groupRetriesMax) return found
    }
  }

  async fetchMany(keys: readonly Key[]): Promise<Map<Key, unknown>> {
    const own = keys.map(ownKey)
    for (let attempt = 1; ; attempt++) {
      const before = this.#group()
      const values: unknown[] = []
      const cold: number[] = []
      for (const [index, key] of own.entries()) {
        values.push(this.get(key))
        if (values[index] === undefined && this.isCold) cold.push(index)
      }
      await this.#fillIn(own, cold, values)
      // A group that was published meanwhile may be half in what was read before and half in what was read after it.
      if (this.#group() !== before && attempt < groupRetriesMax) continue
      const all = new Map<Key, unknown>()
      for (const [index, key] of keys.entries()) {
        if (values[index] !== undefined) all.set(key, values[index])
      }
      return all
    }
  }

  async #fillIn(keys: readonly Key[], cold: readonly number[], values: unknown[]): Promise<void> {
    for (let at = 0; at < cold.length; at += keysPerCommand) {
      const asked = cold.slice(at, at + keysPerCommand)
      const reply = await this.#ask(
        'RC.MGET',
        asked.map((index) => keys[index] as Key),
      )
      const found = listOf(reply, 'RC.MGET')
      for (const [number, index] of asked.entries()) {
        this.shared.takeBackMiss()
        values[index] = await this.#valueOf(found[number] ?? null, 'RC.MGET')
      }
    }
  }

  scan(cursor: ScanCursor | undefined, prefix: string): ScanPage {
    try {
      return this.shared.scan(cursor, prefix)
    } catch (error) {
      return this.#ended(error, { entries: [], cursor: undefined })
    }
  }

  scanKeys(cursor: ScanCursor | undefined): KeyPage {
    try {
      return this.shared.scanKeys(cursor)
    } catch (error) {
      return this.#ended(error, { keys: [], cursor: undefined })
    }
  }

  /** The owner has them in its scan. */
  scanVolatile(): { readonly entries: []; readonly cursor: undefined } {
    return { entries: [], cursor: undefined }
  }

  /** Reads may be asked for twice: when a connection is lost, they are. */
  #ask(command: string, args: readonly (Key | 'LOOK')[]): Promise<Reply> {
    return this.source.cold.request(command, [this.name, ...args], true)
  }

  /** Remembers what the read has left to do, and does what is not for the caller. */
  #note(key: Key): void {
    const after = this.shared.takeAfterRead()
    this.#afterRead = after
    if (after === Cold.slides) this.#slide(key)
  }

  /** Over the connection for writes: whoever writes next writes after it. */
  #slide(key: Key): void {
    const counted = () => this.shared.takeBackHit()
    // The read has its value; without an owner, or with one that has no room, the entry keeps the expiry it has.
    this.source.hot.request('RC.HAS', [this.name, key], true).then(counted, () => {})
  }

  /** Nobody has the arena any more: as if nothing were in it. Everything else goes to the caller. */
  #ended<T>(error: unknown, nothing: T): T {
    if (!isClosed(error) || this.source.isClosed) throw error
    this.#afterRead = Cold.maybe
    return nothing
  }

  #group(): number {
    try {
      return this.shared.group()
    } catch (error) {
      return this.#ended(error, 0)
    }
  }

  #valueOf(reply: Reply, command: string): unknown {
    if (reply === null) return undefined
    const [type, value] = listOf(reply, command)
    const [number, bytes] = [numberOf(type, command), bytesOf(value, command)]
    const { shared } = this
    return withLearning(shared, () => shared.decode(number, bytes))
  }

  protected async entryOf(key: Key, reply: Reply): Promise<WholeEntry | undefined> {
    if (reply === null) return undefined
    const fields = listOf(reply, 'RC.ENTRY')
    const [type, value, version, createdAt, expiresAt, size, tags, tier, idleMs, deadline] = fields
    const number = (field: Reply | undefined) => numberOf(field, 'RC.ENTRY')
    const text = (field: Reply | undefined) => textOf(field, 'RC.ENTRY')
    const { shared } = this
    const bytes = bytesOf(value, 'RC.ENTRY')
    const decoded = await withLearning(shared, () => shared.decodeEntry(number(type), bytes))
    return {
      key: keyText(key),
      value: decoded,
      size: number(size),
      version: text(version),
      createdAt: number(createdAt),
      expiresAt: number(expiresAt) === 0 ? undefined : number(expiresAt),
      tags: listOf(tags, 'RC.ENTRY').map(text),
      tier: text(tier) as Entry['tier'],
      idleMs: number(idleMs),
      deadline: number(deadline),
    }
  }
}

/** What is decoded, or a promise of it where something had to be learned for that. */
function withLearning(space: LocalSpace, decode: () => unknown): unknown {
  try {
    return decode()
  } catch (error) {
    if (space.learn === undefined || !isCorrupt(error)) throw error
    return space.learn().then((hasLearned) => {
      if (!hasLearned) throw error
      return decode()
    })
  }
}

function isCorrupt(error: unknown): boolean {
  return error instanceof RamcacheError && error.code === 'ERR_RAMCACHE_CORRUPT'
}

export function isClosed(error: unknown): boolean {
  return error instanceof RamcacheError && error.code === 'ERR_RAMCACHE_CLOSED'
}
