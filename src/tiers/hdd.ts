/**
 * The tier of what has not been touched for long: LevelDB, written in key-sorted batches, each one synced. What its
 * values look like: `hdd-value.ts`.
 */
import { mkdirSync } from 'node:fs'
import { ClassicLevel } from 'classic-level'
import { RamcacheError } from '../base/errors.ts'
import {
  headBytes,
  isValueSound,
  packState,
  packValue,
  readHead,
  readState,
  type TierCounts,
} from './hdd-value.ts'
import { checkKey, checkLimit, keyAfter, keyAfterPrefix, laterKey, newestByKey } from './keys.ts'
import type { Tier, TierDrop, TierEntry, TierInfo, TierPage, TierRecord, TierStats } from './tier.ts'

export interface HddTierOptions {
  /** Held in memory twice at most; LevelDB slows down when small ones pile up. */
  readonly writeBufferBytes?: number
  readonly cacheBytes?: number
}

const writeBufferBytesDefault = 32 * 1024 * 1024
const cacheBytesDefault = 8 * 1024 * 1024
/** Fewer and larger files: a level holds more before it is merged, and 100 GB are some thousand files. */
const fileBytesMax = 32 * 1024 * 1024
/** One batch, one sync. More of them only wait longer for each other; smaller ones pay more syncs. */
const batchBytesMax = 8 * 1024 * 1024
/** Entries of one look, so that no snapshot of LevelDB is held for long. */
const pageEntriesMax = 1000

/** No entry has a key of one byte. */
const stateKey = Buffer.from([0])
const noKeyBefore = Buffer.from([0, 0])

type Level = ClassicLevel<Buffer, Buffer>
type Operation = { type: 'put'; key: Buffer; value: Buffer } | { type: 'del'; key: Buffer }

export class HddTier implements Tier {
  readonly path: string
  readonly #options: HddTierOptions
  #level: Level | undefined
  #state = { entries: 0, bytes: 0 }
  /** The last write or opening; each one waits for the one before. */
  #queue: Promise<unknown> = Promise.resolve()
  /** A write failed: what LevelDB's journal holds after it may be lost unless the journal is replaced by opening anew. */
  #mustReopen = false

  constructor(path: string, options: HddTierOptions = {}) {
    this.path = path
    this.#options = options
  }

  open(): Promise<void> {
    return this.#enqueue(async () => {
      if (this.#level === undefined) await this.#open()
    })
  }

  close(): Promise<void> {
    return this.#enqueue(async () => {
      const level = this.#level
      this.#level = undefined
      await this.#guard('be closed', async () => level?.close())
    })
  }

  async load(keys: readonly Buffer[]): Promise<(TierRecord | undefined)[]> {
    const level = this.#opened()
    for (const key of keys) checkKey(key)
    const values = await this.#guard('be read', () => level.getMany([...keys]))
    return values.map((value, index) => {
      if (value === undefined) return undefined
      const key = keys[index] as Buffer
      this.#checkValue(key, value)
      return { record: value.subarray(headBytes), ...readHead(value) }
    })
  }

  /** `load` for one key, at once: the thread waits for the disk. */
  loadNow(key: Buffer): TierRecord | undefined {
    const level = this.#opened()
    checkKey(key)
    let value: Buffer | undefined
    try {
      value = level.getSync(key)
    } catch (error) {
      throw this.#mapped(error, 'be read')
    }
    if (value === undefined) return undefined
    this.#checkValue(key, value)
    return { record: value.subarray(headBytes), ...readHead(value) }
  }

  async save(entries: readonly TierEntry[]): Promise<void> {
    this.#opened()
    for (const { key } of entries) checkKey(key)
    const sorted = newestByKey(entries)
    return this.#enqueue(async () => {
      for (let from = 0; from < sorted.length; ) {
        let to = from
        for (let bytes = 0; to < sorted.length && bytes < batchBytesMax; to++) {
          const { key, record } = sorted[to] as TierEntry
          bytes += key.length + record.length
        }
        await this.#change(sorted.slice(from, to), (entry, old, state) => {
          if (old !== undefined && old.version >= entry.version) return undefined
          if (old === undefined) state.entries++
          state.bytes += entry.record.length + (old === undefined ? entry.key.length : -old.recordBytes)
          return { type: 'put', key: entry.key, value: packValue(entry) }
        })
        from = to
      }
    })
  }

  async drop(keys: readonly TierDrop[]): Promise<void> {
    this.#opened()
    for (const { key } of keys) checkKey(key)
    const sorted = newestByKey(keys)
    return this.#enqueue(async () => {
      for (let from = 0; from < sorted.length; from += pageEntriesMax) {
        await this.#change(sorted.slice(from, from + pageEntriesMax), ({ key, version }, old, state) => {
          if (old === undefined || old.version > version) return undefined
          state.entries--
          state.bytes -= key.length + old.recordBytes
          return { type: 'del', key }
        })
      }
    })
  }

  async scan(prefix: Buffer, from: Buffer | undefined, limit: number): Promise<TierPage> {
    const { found, next } = await this.scanRecords(prefix, from, limit)
    const entries = found.map(({ key, record, version, expiresAt }): TierInfo => {
      return { key, version, expiresAt, recordBytes: record.length }
    })
    return { entries, next }
  }

  /** `scan` with the records, which LevelDB reads all the same. */
  async scanRecords(
    prefix: Buffer,
    from: Buffer | undefined,
    limit: number,
  ): Promise<{ found: TierEntry[]; next: Buffer | undefined }> {
    const { read, next } = await this.scanValues(prefix, from, limit)
    const found = read.map(([key, value]): TierEntry => {
      this.#checkValue(key, value)
      return { key, record: value.subarray(headBytes), ...readHead(value) }
    })
    return { found, next }
  }

  /** The same as it lies there, whatever it is: for checks. */
  async scanValues(
    prefix: Buffer,
    from: Buffer | undefined,
    limit: number,
  ): Promise<{ read: [key: Buffer, value: Buffer][]; next: Buffer | undefined }> {
    const level = this.#opened()
    checkLimit(limit)
    const count = Math.min(limit, pageEntriesMax)
    const start = laterKey(laterKey(prefix, from), noKeyBefore)
    const end = keyAfterPrefix(prefix)
    const range = {
      gte: start,
      limit: count + 1,
      fillCache: false,
      ...(end === undefined ? {} : { lt: end }),
    }
    const read = await this.#guard('be read', () => level.iterator(range).all())
    const page = read.slice(0, count)
    const last = page.at(-1)
    const next = read.length > count && last !== undefined ? keyAfter(last[0]) : undefined
    return { read: page, next }
  }

  /** Has the space of what was dropped between two keys given back now, not when LevelDB comes to it. */
  giveBack(from: Buffer, to: Buffer): Promise<void> {
    const level = this.#opened()
    return this.#enqueue(() => this.#guard('be written', () => level.compactRange(from, to)))
  }

  async stats(): Promise<TierStats> {
    this.#opened()
    return { ...this.#state }
  }

  /** One batch: reads what stands, asks `decide` for each entry, writes the rest and the state, synced. */
  async #change<T extends { readonly key: Buffer }>(
    entries: readonly T[],
    decide: (entry: T, old: Old | undefined, state: TierCounts) => Operation | undefined,
  ): Promise<void> {
    if (this.#mustReopen) await this.#reopen()
    const level = this.#opened()
    const keys = entries.map(({ key }) => key)
    const values = await this.#guard('be read', () => level.getMany(keys, { fillCache: false }))
    const state = { ...this.#state }
    const operations: Operation[] = []
    for (const [index, entry] of entries.entries()) {
      const value = values[index]
      if (value !== undefined) this.#checkValue(entry.key, value)
      const old = value && { version: readHead(value).version, recordBytes: value.length - headBytes }
      const operation = decide(entry, old, state)
      if (operation !== undefined) operations.push(operation)
    }
    if (operations.length === 0) return
    operations.unshift({ type: 'put', key: stateKey, value: packState(state) })
    try {
      // Every batch, not the last one only: LevelDB may begin a new journal between two, and syncs only the one it is in.
      await this.#guard('be written', () => level.batch(operations, { sync: true }))
    } catch (error) {
      this.#mustReopen = true
      throw error
    }
    this.#state = state
  }

  async #open(): Promise<void> {
    mkdirSync(this.path, { recursive: true })
    const level: Level = new ClassicLevel(this.path, {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
      compression: true,
      writeBufferSize: this.#options.writeBufferBytes ?? writeBufferBytesDefault,
      cacheSize: this.#options.cacheBytes ?? cacheBytesDefault,
      maxFileSize: fileBytesMax,
    })
    try {
      await this.#guard('be opened', () => level.open())
      this.#state = await this.#loadState(level)
    } catch (error) {
      await level.close().catch(() => {})
      throw error
    }
    this.#level = level
    this.#mustReopen = false
  }

  async #reopen(): Promise<void> {
    const level = this.#opened()
    await level.close().catch(() => {})
    try {
      await this.#open()
    } catch (error) {
      // The tier stays open for its owner, who may try again when there is room; until then nothing is served.
      this.#level = level
      throw error
    }
  }

  async #loadState(level: Level): Promise<TierCounts> {
    const state = await this.#guard('be opened', () => level.get(stateKey))
    if (state === undefined) {
      const first = await this.#guard('be opened', () => level.keys({ limit: 1 }).all())
      if (first.length === 0) return { entries: 0, bytes: 0 }
      throw this.#corrupt(
        'it has entries, but no state: another program wrote it, or its newest files are gone',
      )
    }
    return readState(state, this.path)
  }

  #checkValue(key: Buffer, value: Buffer): void {
    if (isValueSound(key, value)) return
    const start = key.subarray(0, 16).toString('hex')
    throw this.#corrupt(`the entry of a key of ${key.length} bytes that begins with ${start} is damaged`)
  }

  #opened(): Level {
    if (this.#level === undefined) throw this.#closed()
    return this.#level
  }

  #enqueue<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work)
    this.#queue = result.catch(() => {})
    return result
  }

  async #guard<T>(what: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      throw this.#mapped(error, what)
    }
  }

  #mapped(error: unknown, what: string): unknown {
    if (error instanceof RamcacheError || !(error instanceof Error)) return error
    const cause = error.cause instanceof Error ? error.cause : error
    const { code } = cause as { code?: unknown }
    const because = `the tier ${this.path} could not ${what}: ${cause.message}`
    if (code === 'LEVEL_LOCKED') return new RamcacheError('ERR_RAMCACHE_LOCKED', because, error)
    if (/no space left|disk quota/i.test(cause.message))
      return new RamcacheError('ERR_RAMCACHE_FULL', because, error)
    if (code === 'LEVEL_CORRUPTION' || /corrupt|missing files|not an sstable/i.test(cause.message)) {
      return this.#corrupt(cause.message, error)
    }
    // A read that was under way when the tier was closed.
    if (code === 'LEVEL_DATABASE_NOT_OPEN' && this.#level === undefined) return this.#closed()
    // What LevelDB says of a file that it cannot make sense of, or misses, has many forms.
    const isRefused = /permission denied|read-only|too many open|input\/output/i.test(cause.message)
    if (what !== 'be written' && what !== 'be closed' && !isRefused)
      return this.#corrupt(cause.message, error)
    if (what === 'be written') return new RamcacheError('ERR_RAMCACHE_POISONED', because, error)
    return new RamcacheError('ERR_RAMCACHE_UNAVAILABLE', because, error)
  }

  #corrupt(what: string, cause?: unknown): RamcacheError {
    return new RamcacheError('ERR_RAMCACHE_CORRUPT', `the tier ${this.path} is damaged: ${what}`, cause)
  }

  #closed(): RamcacheError {
    return new RamcacheError('ERR_RAMCACHE_CLOSED', `the tier ${this.path} is not open`)
  }
}

interface Old {
  readonly version: bigint
  readonly recordBytes: number
}
