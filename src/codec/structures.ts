/**
 * Structures: the lists of field names that objects of a namespace share, so that a record holds a number in place of
 * its names. One `StructureTable` per codec mirrors the table that all codecs of a namespace (threads, processes)
 * keep in one `StructureStore`.
 *
 * Invariants:
 * - The stored table only grows: a structure keeps its number for ever, and every stored table is a prefix of each
 *   later one. So a table that is behind reads everything written before it was loaded, and one load brings it up.
 * - A structure is stored before the first message that uses its number is handed out (`commit`).
 * - Numbers are given out tentatively and become valid by one compare-and-set; who loses it loads, and encodes again.
 *
 * Stored form: the line `ramcache-structures 1`, then one line per structure, a JSON array of its names.
 */
import { RamcacheError } from '../base/errors.ts'

/** Where the table of one namespace is kept. Both calls are synchronous. */
export interface StructureStore {
  /** The stored table, or `undefined` when there is none yet. It may be a view of memory that is reused. */
  load(): Uint8Array | undefined
  /** Compare-and-set: false when the stored table is not `previous` any more, because another writer was first. */
  save(next: Uint8Array, previous: Uint8Array | undefined): boolean
}

/** One list of field names as the encoder and the decoder know it. */
export interface Shape {
  readonly keys: readonly string[]
  /** Number in the table, or -1: not shared (yet). */
  id: number
  /** Message that defined the shape inline most recently, and the number it has there. */
  inlineMessage: number
  inlineId: number
  /** Message that met the shape first. A second message is the evidence that sharing pays. */
  readonly firstMessage: number
  /** Reads one object of this shape; set by the decoder. */
  read: (() => object) | undefined
}

/** Structures in one table. Ordinary data has tens; past this, what comes is names that are really data. */
export const structureCountMax = 1024
/** Bytes of one stored table: it is written again, whole, for each new structure. */
export const structureTableBytesMax = 128 * 1024
/** Objects with more fields than this are dictionaries: never shared. */
export const structureFieldsMax = 64
/** Shapes remembered after one message, waiting for a second; all are forgotten when there are more. */
const candidateCountMax = 1024

const header = Buffer.from('ramcache-structures 1\n')

/** Finds a shape by its names: by the last name first, as shapes that begin alike (`id`, ...) are common. */
class ShapeIndex {
  readonly #byLastKey = new Map<string | undefined, Shape[]>()

  find(keys: readonly string[]): Shape | undefined {
    const bucket = this.#byLastKey.get(keys[keys.length - 1])
    if (bucket === undefined) return undefined
    for (let at = 0; at < bucket.length; at++) {
      const shape = bucket[at] as Shape
      if (!sameKeys(shape.keys, keys)) continue
      // One step forward on each hit keeps common shapes at the front.
      if (at > 0) {
        bucket[at] = bucket[at - 1] as Shape
        bucket[at - 1] = shape
      }
      return shape
    }
    return undefined
  }

  add(shape: Shape): void {
    const lastKey = shape.keys[shape.keys.length - 1]
    const bucket = this.#byLastKey.get(lastKey)
    if (bucket === undefined) this.#byLastKey.set(lastKey, [shape])
    else bucket.push(shape)
  }

  clear(): void {
    this.#byLastKey.clear()
  }
}

function sameKeys(left: readonly string[], right: readonly string[]): boolean {
  if (left.length !== right.length) return false
  for (let at = 0; at < left.length; at++) if (left[at] !== right[at]) return false
  return true
}

export class StructureTable {
  /** By number. Read by the decoder. */
  readonly shapes: Shape[] = []
  readonly #store: StructureStore | undefined
  readonly #index = new ShapeIndex()
  #candidateCount = 0
  /** Numbered, but not stored yet. */
  #pending: Shape[] = []
  #pendingBytes = 0
  /** The stored table as last seen. */
  #stored: Buffer | undefined
  #isLoaded = false
  /** Set by the first structure that did not fit. */
  #isFull = false
  #generation = 0

  /** Without a store nothing is shared, and every message is self-contained. */
  constructor(store: StructureStore | undefined) {
    this.#store = store
  }

  /** Changes whenever a number that was given out is taken back: what was encoded since is void. */
  get generation(): number {
    return this.#generation
  }

  get hasPending(): boolean {
    return this.#pending.length > 0
  }

  /** Loads what others have stored, the first time it is called. */
  open(): void {
    if (!this.#isLoaded) this.refresh()
  }

  find(keys: readonly string[]): Shape | undefined {
    return this.#index.find(keys)
  }

  /** Remembers names that `find` does not know, without a number. `keys` is kept. */
  add(keys: readonly string[], message: number): Shape {
    if (this.#candidateCount >= candidateCountMax) this.#forgetCandidates()
    const shape = newShape(keys, message)
    this.#index.add(shape)
    this.#candidateCount++
    return shape
  }

  /** Gives the shape a number if there is room; valid when `commit` has returned true. */
  share(shape: Shape): void {
    if (this.#isFull || this.#store === undefined) return
    const bytes = Buffer.byteLength(JSON.stringify(shape.keys)) + 1
    const total = (this.#stored?.length ?? header.length) + this.#pendingBytes + bytes
    if (this.shapes.length >= structureCountMax || total > structureTableBytesMax) {
      this.#isFull = true
      return
    }
    this.#number(shape)
    this.#pending.push(shape)
    this.#pendingBytes += bytes
  }

  /** Stores what is pending. False when another writer was first: numbers have changed, so encode again. */
  commit(): boolean {
    const lines = this.#pending.map((shape) => `${JSON.stringify(shape.keys)}\n`).join('')
    const next = Buffer.concat([this.#stored ?? header, Buffer.from(lines)])
    let isSaved = false
    try {
      isSaved = (this.#store as StructureStore).save(next, this.#stored)
    } finally {
      if (!isSaved) this.rollBack()
    }
    if (isSaved) {
      this.#stored = next
      this.#pending = []
      this.#pendingBytes = 0
    } else {
      this.refresh()
    }
    return isSaved
  }

  /** Takes the numbers back from what is pending. */
  rollBack(): void {
    for (const shape of this.#pending) shape.id = -1
    this.shapes.length -= this.#pending.length
    this.#candidateCount += this.#pending.length
    if (this.#pending.length > 0) this.#generation++
    this.#pending = []
    this.#pendingBytes = 0
  }

  /** Takes over what other writers have stored since. False when there was nothing new. */
  refresh(): boolean {
    const loaded = this.#store?.load()
    this.#isLoaded = true
    const known = this.#stored
    if (loaded === undefined) {
      if (known !== undefined) throw corrupt('is gone')
      return false
    }
    const knownBytes = known ?? header
    if (loaded.length < knownBytes.length || knownBytes.compare(loaded, 0, knownBytes.length) !== 0) {
      throw corrupt(
        known === undefined ? 'has an unknown format' : 'is not a continuation of the one read before',
      )
    }
    if (known !== undefined && loaded.length === known.length) return false
    const next = Buffer.from(loaded)
    this.rollBack()
    for (const keys of parseLines(next.toString('utf8', knownBytes.length))) this.#adopt(keys)
    this.#stored = next
    return true
  }

  #adopt(keys: readonly string[]): void {
    const known = this.#index.find(keys)
    if (known !== undefined && known.id < 0) {
      this.#number(known)
      return
    }
    const shape = newShape(keys, -1)
    this.#index.add(shape)
    this.#candidateCount++
    this.#number(shape)
  }

  #number(shape: Shape): void {
    shape.id = this.shapes.length
    this.shapes.push(shape)
    this.#candidateCount--
  }

  #forgetCandidates(): void {
    this.#index.clear()
    for (const shape of this.shapes) this.#index.add(shape)
    this.#candidateCount = 0
  }
}

export function newShape(keys: readonly string[], message: number): Shape {
  return { keys, id: -1, inlineMessage: -1, inlineId: 0, firstMessage: message, read: undefined }
}

function parseLines(text: string): string[][] {
  const lines = text.split('\n')
  if (lines.pop() !== '') throw corrupt('ends in the middle of a line')
  if (lines.length > structureCountMax) throw corrupt('is too long')
  return lines.map((line) => {
    const keys = parseLine(line)
    if (
      !Array.isArray(keys) ||
      keys.length > structureFieldsMax ||
      !keys.every((key) => typeof key === 'string')
    ) {
      throw corrupt('has a line that is no list of names')
    }
    return keys
  })
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch (cause) {
    throw corrupt('has a line that cannot be read', cause)
  }
}

function corrupt(what: string, cause?: unknown): RamcacheError {
  return new RamcacheError('ERR_RAMCACHE_CORRUPT', `the table of shared structures ${what}`, cause)
}
