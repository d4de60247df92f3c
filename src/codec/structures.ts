/**
 * Structures: the lists of field names that objects of a namespace share, so that a record holds a number in place of
 * its names. One `StructureTable` per codec mirrors the table that all codecs of a namespace (threads, processes)
 * keep in one `StructureStore`.
 *
 * Invariants:
 * - The stored table only grows: a structure keeps its number (its place) for ever, and every stored table is a prefix
 *   of each later one. So a table that is behind reads everything written before it was loaded, and one load brings it
 *   up.
 * - A structure has a number only once it is stored, by one compare-and-set; who loses that loads what the winner wrote.
 *
 * Stored form: the line `ramcache-structures 1`, then one line per structure, a JSON array of its names.
 */
import { RamcacheError } from '../base/errors.ts'
import { recordFieldsMax } from './bytes.ts'

/** Where the table of one namespace is kept. Both calls return at once. */
export interface StructureStore {
  /** The stored table, or `undefined` when there is none yet. It may be a view of memory that is reused. */
  load(): Uint8Array | undefined
  /**
   * Compare-and-set: false when the stored table is not `previous` any more, because another writer was first;
   * `undefined` when it has only been asked for, and will be found by `load` once it is stored.
   */
  save(next: Uint8Array, previous: Uint8Array | undefined): boolean | undefined
}

/** Structures in one table. Ordinary data has tens; past this, what comes is names that are really data. */
export const structureCountMax = 1024
/** Bytes of one stored table: it is written again, whole, for each new structure. */
export const structureTableBytesMax = 128 * 1024
/** Shapes remembered after one message, waiting for a second; all are forgotten when there are more. */
const candidateCountMax = 1024

const header = Buffer.from('ramcache-structures 1\n')

export class StructureTable {
  /** By number. */
  readonly lists: string[][] = []
  readonly #store: StructureStore | undefined
  /** The stored table as last seen. */
  #stored: Buffer | undefined
  #isLoaded = false
  #isFull = false

  /** Without a store there is never anything in it. */
  constructor(store: StructureStore | undefined) {
    this.#store = store
  }

  /** Set by the first structure that did not fit. */
  get isFull(): boolean {
    return this.#isFull
  }

  /** Loads what others have stored, the first time it is called. */
  open(): void {
    if (!this.#isLoaded) this.refresh()
  }

  /**
   * Stores new structures, given as their lines, as far as there is room. When another writer was first, takes over
   * what that one stored instead: look again, and come again for what is still missing. False when nothing has changed
   * for now.
   */
  append(lines: Iterable<string>): boolean {
    const previous = this.#stored
    const added: string[] = []
    let bytes = (previous ?? header).length
    for (const line of lines) {
      bytes += Buffer.byteLength(line)
      if (this.lists.length + added.length >= structureCountMax || bytes > structureTableBytesMax) {
        this.#isFull = true
        break
      }
      added.push(line)
    }
    if (added.length === 0) return true
    const next = Buffer.concat([previous ?? header, Buffer.from(added.join(''))])
    const isSaved = (this.#store as StructureStore).save(next, previous)
    if (isSaved === true) this.#take(next, added.join(''))
    if (isSaved === false) this.refresh()
    return isSaved !== undefined
  }

  /** Takes over what other writers have stored since. */
  refresh(): void {
    const loaded = this.#store?.load()
    this.#isLoaded = true
    const known = this.#stored
    if (loaded === undefined) {
      if (known !== undefined) throw corrupt('is gone')
      return
    }
    const knownBytes = known ?? header
    if (loaded.length < knownBytes.length || knownBytes.compare(loaded, 0, knownBytes.length) !== 0) {
      throw corrupt(
        known === undefined ? 'has an unknown format' : 'is not a continuation of the one read before',
      )
    }
    if (known !== undefined && loaded.length === known.length) return
    const next = Buffer.from(loaded)
    this.#take(next, next.toString('utf8', knownBytes.length))
  }

  #take(stored: Buffer, lines: string): void {
    const lists = parseLines(lines)
    if (this.lists.length + lists.length > structureCountMax) throw corrupt('is too long')
    this.lists.push(...lists)
    this.#stored = stored
  }
}

/** Which shapes deserve to be shared: those that a second message has. Names that are data mostly come once. */
export class ShapeMemory {
  readonly #messageByLine = new Map<string, number>()

  /** The line of a shape that an earlier message had too; `undefined` for any other, which is remembered. */
  recall(keys: readonly string[], message: number): string | undefined {
    const line = `${JSON.stringify(keys)}\n`
    const first = this.#messageByLine.get(line)
    if (first !== undefined) return first < message ? line : undefined
    if (this.#messageByLine.size >= candidateCountMax) this.#messageByLine.clear()
    this.#messageByLine.set(line, message)
    return undefined
  }
}

function parseLines(text: string): string[][] {
  const lines = text.split('\n')
  if (lines.pop() !== '') throw corrupt('ends in the middle of a line')
  return lines.map((line) => {
    const keys = parseLine(line)
    if (
      !Array.isArray(keys) ||
      keys.length > recordFieldsMax ||
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
