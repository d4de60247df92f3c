/** One namespace in one thread: native callbacks with the codec around them. */
import { RamcacheError } from '../base/errors.ts'
import { decodeManifest } from '../codec/blob.ts'
import { freezeDeep } from '../codec/freeze.ts'
import type { Encoded } from '../codec/value.ts'
import { Answer, type NativeAnswer, Purpose } from './answers.ts'
import { type NativeSpace, translate } from './binding.ts'
import type { ColdReads } from './cold.ts'
import type { Entry, EntryInfo, Key, KeyPage, ReadSpace, ScanCursor, ScanPage, WholeEntry } from './engine.ts'
import { keyText, ownKey } from './keys.ts'
import type { NearCache } from './near-cache.ts'
import { nothing } from './nothing.ts'
import { Control, control, scratch } from './scratch.ts'
import { decodeTags } from './write-options.ts'

/** What a space needs of a codec. */
export interface Codec {
  encode(value: unknown): Encoded
  encodeSelfContained?(value: unknown): Encoded
  decode(type: number, source: Uint8Array, start: number, end: number): unknown
}

/** Value types come back with this added, a plain number as 0. */
const TYPE_BASE = 16
export const TYPE_BYTES = 6
export const TYPE_BLOB = 11
export const TYPE_EXPENDABLE = 12
/** Fields of an entry in a native scan page. */
const SCAN_FIELDS = 6
/** Attempts of `getMany` to see every group whole before it takes what it has. */
const GROUP_RETRIES_MAX = 64
/** Cold reads that one caller has under way: far fewer than may wait in all. */
const ASKED_AT_ONCE = 1024

/** What a number counts for in the near cache. */
const numberBytes = 8

/** The near cache over a namespace, when it is to have one. */
export type MakeNear = (native: NativeSpace) => NearCache | undefined

/** As `settle` knows them. */
const tierNumbers = { ssd: 1, hdd: 2 } as const

/** The read side. An attached process may ask for a namespace before the owner has made it: then all is a miss. */
export class NativeReadSpace implements ReadSpace {
  protected readonly codec: Codec
  readonly #open: () => NativeSpace | null
  readonly #cold: ColdReads | undefined
  readonly #makeNear: MakeNear | undefined
  #native: NativeSpace | undefined
  #near: NearCache | undefined
  #isClosed = false

  /** `cold` where there are tiers below RAM that this process can ask. */
  constructor(open: () => NativeSpace | null, codec: Codec, cold?: ColdReads, makeNear?: MakeNear) {
    this.#open = open
    this.codec = codec
    this.#cold = cold
    this.#makeNear = makeNear
    this.#native = open() ?? undefined
    if (this.#native !== undefined) this.#near = makeNear?.(this.#native)
  }

  get(key: Key): unknown {
    try {
      const near = this.#near
      if (near !== undefined && typeof key === 'string' && !near.rests())
        return this.#getNear(near, key, false)
      const found = (this.#native ?? this.native()).get(key)
      if (typeof found === 'string' || found === undefined) return found
      return this.#decode(found)
    } catch (error) {
      translate(error)
    }
  }

  getFrozen(key: Key): unknown {
    try {
      const near = this.#near
      if (near !== undefined && typeof key === 'string' && !near.rests())
        return this.#getNear(near, key, true)
      const found = this.native().get(key)
      if (typeof found === 'string' || found === undefined) return found
      const value = this.#decode(found)
      freezeDeep(value)
      return value
    } catch (error) {
      translate(error)
    }
  }

  #getNear(near: NearCache, key: string, wantsFrozen: boolean): unknown {
    const known = near.find(key, wantsFrozen)
    if (known !== undefined) return known
    const epoch = near.epoch()
    const found = this.native().get(key)
    if (found === undefined) return undefined
    const isPlain = typeof found === 'string' || control[Control.type] === 0
    const bytes = typeof found !== 'number' ? found.length : isPlain ? numberBytes : found
    // Decoding may itself read, and then the control words are of that read.
    const place = near.placeOfRead(bytes, epoch)
    const value = isPlain ? found : this.#decode(found as number | Buffer)
    if (place !== undefined) return near.keep(key, value, wantsFrozen, place)
    if (wantsFrozen) freezeDeep(value)
    return value
  }

  #decode(found: number | Buffer): unknown {
    const type = control[Control.type] as number
    if (type === 0) return found
    if (typeof found === 'number') return this.codec.decode(type - TYPE_BASE, scratch, 0, found)
    // A Buffer of its own already: no second copy.
    if (type === TYPE_BASE + TYPE_BYTES) return found
    return this.codec.decode(type - TYPE_BASE, found, 0, found.length)
  }

  get reachesBelow(): boolean {
    return this.#cold?.reachesBelow ?? false
  }

  get isCold(): boolean {
    return this.#cold !== undefined && control[Control.cold] === 1
  }

  fetch(key: Key): Promise<unknown> {
    return this.#below(
      key,
      (own) => this.get(own),
      (answer) => this.#decodeAnswer(answer),
    )
  }

  fetchEntry(key: Key): Promise<Entry | undefined> {
    return this.#below(
      key,
      (own) => this.getEntry(own),
      (answer, own) => this.#entryOfAnswer(own, answer),
    )
  }

  async fetchHas(key: Key): Promise<boolean> {
    return (
      (await this.#below(
        key,
        (own) => this.has(own) || undefined,
        (answer) => answer.kind === Answer.found || undefined,
      )) === true
    )
  }

  async look(key: Key): Promise<Entry | undefined> {
    const own = ownKey(key)
    for (;;) {
      const entry = this.peek(own)
      if (entry !== undefined || !this.isCold) return entry
      const found = await this.ask(own, Purpose.look, (answer) => {
        return decided(answer, () => this.#entryOfAnswer(own, answer))
      })
      if (found !== undefined) return found.value
    }
  }

  async lookWhole(key: Key): Promise<WholeEntry | undefined> {
    const own = ownKey(key)
    for (;;) {
      const found = this.#peeked(own)
      const entry = this.entryOf(own, found)
      if (entry !== undefined)
        return { ...entry, idleMs: found?.[7] as number, deadline: found?.[8] as number }
      if (!this.isCold) return undefined
      const whole = await this.ask(own, Purpose.look, (answer) => {
        return decided(answer, () => {
          const cold = this.#entryOfAnswer(own, answer)
          return cold && { ...cold, idleMs: answer.idleMs, deadline: answer.deadline }
        })
      })
      if (whole !== undefined) return whole.value
    }
  }

  /** What the tiers below have of a key that RAM was just asked for; RAM is asked again when it has changed. */
  async #below<T>(
    key: Key,
    again: (own: Key) => T | undefined,
    found: (answer: NativeAnswer, own: Key) => T | undefined,
  ): Promise<T | undefined> {
    const own = ownKey(key)
    for (;;) {
      const below = await this.ask(own, Purpose.read, (answer) => decided(answer, () => found(answer, own)))
      // What was asked of RAM before counted as a miss.
      const tier = below?.tier
      if (below === undefined || tier !== undefined) {
        this.native().settle(tier === undefined ? 0 : tierNumbers[tier])
      }
      if (below !== undefined) return below.value
      const value = again(own)
      if (value !== undefined || !this.isCold) return value
    }
  }

  #entryOfAnswer(key: Key, answer: NativeAnswer): Entry | undefined {
    if (answer.kind !== Answer.found) return undefined
    const { value, valueType, tier, version, createdAt, expiresAt, size, tags } = answer
    const info = entryInfo([keyText(key), version, createdAt, expiresAt, size, tags])
    return { value: this.entryValue(valueType, Buffer.from(value)), ...info, tier }
  }

  protected ask<T>(key: Key, purpose: number, take: (answer: NativeAnswer) => T): Promise<T> | undefined {
    try {
      return this.#cold?.ask(this.native(), key, purpose, take)
    } catch (error) {
      translate(error)
    }
  }

  #decodeAnswer({ kind, value, valueType }: NativeAnswer): unknown {
    if (kind !== Answer.found) return undefined
    return this.codec.decode(valueType, value, 0, value.length)
  }

  getMany(keys: readonly Key[]): Map<Key, unknown> {
    for (let attempt = 1; ; attempt++) {
      const native = this.native()
      const before = native.group()
      const found = new Map<Key, unknown>()
      for (const key of keys) {
        const value = this.get(key)
        if (value !== undefined) found.set(key, value)
      }
      if (native.group() === before || attempt === GROUP_RETRIES_MAX) return found
    }
  }

  async fetchMany(keys: readonly Key[]): Promise<Map<Key, unknown>> {
    const own = keys.map(ownKey)
    for (let attempt = 1; ; attempt++) {
      const before = this.native().group()
      const values: unknown[] = []
      const cold: number[] = []
      for (const [index, key] of own.entries()) {
        values.push(this.get(key))
        if (values[index] === undefined && this.isCold) cold.push(index)
      }
      for (let at = 0; at < cold.length; at += ASKED_AT_ONCE) {
        const asked = cold.slice(at, at + ASKED_AT_ONCE)
        const found = await Promise.all(asked.map((index) => this.fetch(own[index] as Key)))
        for (const [number, index] of asked.entries()) values[index] = found[number]
      }
      // A group that was published meanwhile may be half in what was read before and half in what was read after it.
      if (this.native().group() !== before && attempt < GROUP_RETRIES_MAX) continue
      const all = new Map<Key, unknown>()
      for (const [index, key] of keys.entries()) {
        if (values[index] !== undefined) all.set(key, values[index])
      }
      return all
    }
  }

  has(key: Key): boolean {
    try {
      return this.native().has(key)
    } catch (error) {
      translate(error)
    }
  }

  getEntry(key: Key): Entry | undefined {
    try {
      return this.entryOf(key, this.native().entry(key))
    } catch (error) {
      translate(error)
    }
  }

  peek(key: Key): Entry | undefined {
    return this.entryOf(key, this.#peeked(key))
  }

  #peeked(key: Key): ReturnType<NativeSpace['peek']> {
    try {
      return this.native().peek(key)
    } catch (error) {
      translate(error)
    }
  }

  protected entryOf(key: Key, found: ReturnType<NativeSpace['entry']>): Entry | undefined {
    if (found === undefined) return undefined
    const [bytes, type, version, createdAt, expiresAt, size, tags] = found
    return {
      value: this.entryValue(type, bytes),
      ...entryInfo([keyText(key), version, createdAt, expiresAt, size, tags]),
    }
  }

  /** The value of an entry as `getEntry` has it: of a blob its manifest. */
  protected entryValue(type: number, bytes: Buffer): unknown {
    if (type === TYPE_BYTES) return bytes
    if (type === TYPE_BLOB) return decodeManifest(bytes)
    return this.codec.decode(type, bytes, 0, bytes.length)
  }

  scan(cursor: ScanCursor | undefined, prefix: string): ScanPage {
    const { rows, cursor: next } = this.#scanned(cursor, prefix)
    return { entries: rows.map(([key, ...rest]) => entryInfo([keyText(key as Key), ...rest])), cursor: next }
  }

  scanKeys(cursor: ScanCursor | undefined): KeyPage {
    const { rows, cursor: next } = this.#scanned(cursor, '')
    return {
      keys: rows.map(([key, , , , size]) => ({ key: key as Key, size: size as number })),
      cursor: next,
    }
  }

  #scanned(
    cursor: ScanCursor | undefined,
    prefix: string,
  ): { rows: Field[][]; cursor: ScanCursor | undefined } {
    try {
      const fields = this.native().scan(cursor?.bucketCount ?? -1, cursor?.bucket ?? 0, prefix)
      const rows: Field[][] = []
      for (let at = 2; at < fields.length; at += SCAN_FIELDS) rows.push(fields.slice(at, at + SCAN_FIELDS))
      const [bucketCount, bucket] = fields as [number, number]
      return { rows, cursor: bucketCount < 0 ? undefined : { bucketCount, bucket } }
    } catch (error) {
      translate(error)
    }
  }

  scanVolatile(
    cursor: ScanCursor | undefined,
    prefix: string,
  ): { entries: [string, EntryInfo][]; cursor: ScanCursor | undefined } {
    try {
      const fields = this.native().scan(cursor?.bucketCount ?? -1, cursor?.bucket ?? 0, prefix, 1)
      const entries: [string, EntryInfo][] = []
      for (let at = 2; at < fields.length; at += 1 + SCAN_FIELDS) {
        const name = (fields[at] as Buffer).toString('latin1')
        entries.push([name, entryInfo(fields.slice(at + 1, at + 1 + SCAN_FIELDS))])
      }
      const [bucketCount, bucket] = fields as [number, number]
      return { entries, cursor: bucketCount < 0 ? undefined : { bucketCount, bucket } }
    } catch (error) {
      translate(error)
    }
  }

  close(): void {
    this.#isClosed = true
    this.#native?.close()
    this.#native = undefined
    this.#near = undefined
  }

  /** The callbacks; of a namespace that does not exist yet, ones that find nothing. */
  protected native(): NativeSpace {
    if (this.#isClosed) throw new RamcacheError('ERR_RAMCACHE_CLOSED', 'the cache is closed')
    if (this.#native === undefined) {
      this.#native = this.#open() ?? undefined
      if (this.#native !== undefined) this.#near = this.#makeNear?.(this.#native)
    }
    return this.#native ?? nothing
  }
}

/** What an answer says, unless it says that RAM must be asked again. */
function decided<T>(
  answer: NativeAnswer,
  value: () => T,
): { tier: 'ssd' | 'hdd' | undefined; value: T } | undefined {
  if (answer.kind === Answer.askAgain) return undefined
  return { tier: answer.kind === Answer.found ? answer.tier : undefined, value: value() }
}

type Field = number | string | Buffer

function entryInfo(fields: Field[]): EntryInfo {
  const [key, version, created, expires, size, tags] = fields
  return {
    key: key as string,
    size: size as number,
    version: version as string,
    createdAt: created as number,
    expiresAt: expires === 0 ? undefined : (expires as number),
    tags: decodeTags(tags as Buffer),
    tier: 'ram',
  }
}
