/**
 * Objects as MessagePack. This file, and no other, imports msgpackr; what it is given to pack are snapshots.
 *
 * A shared message begins with the number of structures its writer knew, two bytes, little-endian: a reader that knows
 * fewer loads the table first. Only that makes it safe, because msgpackr reads a structure it does not know as a number.
 * Shapes that are not in the table are defined inside the message; so is every shape of a self-contained message.
 *
 * msgpackr never changes the table. Which shapes it met that the table does not have comes out of `shouldShareStructure`
 * (which always says no); what is to be shared is stored, and then the value is packed once more.
 */
import { Packr, RESERVE_START_SPACE, RESET_BUFFER_MODE, Unpackr } from 'msgpackr'
import { ShapeMemory, type StructureTable, structureCountMax } from './structures.ts'

const countBytes = 2
/** The returned bytes are good until the next message is packed; nothing piles up. */
const packAlone = RESET_BUFFER_MODE
const packShared = RESET_BUFFER_MODE | RESERVE_START_SPACE | countBytes

/** All users of msgpackr in a thread share one memory for packing, which grows to the largest message. */
const packedBytesKept = 1024 * 1024
const packedBytesMin = 8192

/** Each lost race means that another writer succeeded; this many in a row mean that something is wrong. */
const appendAttemptsMax = 64

/** First bytes that stand for structures: the first half alone, the second half with one more byte. */
const firstBytes = 64

const forms = { moreTypes: true, useToJSON: false, copyBuffers: true, mapsAsObjects: false }
/** Without `structuredClone`, references inside a message, which a damaged one might hold. */
const readForms = { ...forms, structuredClone: false }

const alonePackr = new Packr({ ...forms, maxOwnStructures: 64 })
const aloneUnpackr = new Unpackr({ ...readForms })

/** Where msgpackr reads: one object for all calls. */
const range = { start: 0, end: 0 }

export function packSelfContained(value: object): Uint8Array {
  return finish(alonePackr.pack(value, packAlone))
}

/** Throws for what is no message. `source` must be a Buffer: parts of it become what it is. */
export function unpackSelfContained(source: Buffer, start: number, end: number): unknown {
  return unpack(aloneUnpackr, source, start, end)
}

export interface Packed {
  readonly bytes: Uint8Array
  readonly isShared: boolean
}

/** Packs and unpacks with the structures of one table. */
export class SharedMessages {
  readonly #table: StructureTable
  readonly #memory = new ShapeMemory()
  /** Lines of shapes that the message being packed has, and that should be shared. */
  readonly #wanted = new Set<string>()
  #message = 0
  #writer: Packr | undefined
  #writerCount = 0
  #reader: Packr | undefined
  #readerCount = -1

  constructor(table: StructureTable) {
    this.#table = table
  }

  /** All structures the message refers to are stored when this returns. What the store throws comes through. */
  pack(value: object): Packed {
    this.#table.open()
    this.#message++
    for (let attempt = 0; ; attempt++) {
      const packed = this.#packOnce(value)
      if (this.#wanted.size === 0 || attempt === appendAttemptsMax) return packed
      if (!this.#table.append(this.#wanted)) return packed
    }
  }

  /** Throws for what is no message, and for structures the table does not have. `source` must be a Buffer. */
  unpack(source: Buffer, start: number, end: number): unknown {
    if (end - start <= countBytes) throw new Error('a shared message is cut off')
    const count = (source[start] as number) | ((source[start + 1] as number) << 8)
    if (count > this.#table.lists.length) return this.#unpackNewer(source, start, end, count)
    return this.#unpackKnown(source, start + countBytes, end)
  }

  /** A message that was written after our copy of the table was loaded. */
  #unpackNewer(source: Buffer, start: number, end: number, count: number): unknown {
    // Loading may use the memory the message is in.
    const copy = Buffer.from(source.subarray(start, end))
    this.#table.refresh()
    const known = this.#table.lists.length
    if (count > known) throw new Error(`it needs ${count} structures, and the table has ${known}`)
    return this.#unpackKnown(copy, countBytes, copy.length)
  }

  #unpackKnown(source: Buffer, start: number, end: number): unknown {
    const { lists } = this.#table
    if (this.#reader === undefined || this.#readerCount !== lists.length) {
      this.#reader = makeReader(lists)
      this.#readerCount = lists.length
    }
    try {
      return unpack(this.#reader, source, start, end)
    } catch (error) {
      // It may have taken something out of a damaged message for a structure.
      this.#reader = undefined
      throw error
    }
  }

  #packOnce(value: object): Packed {
    this.#wanted.clear()
    const count = this.#table.lists.length
    if (this.#writer === undefined || this.#writerCount !== count) {
      this.#writer = this.#makeWriter()
      this.#writerCount = count
    }
    if (count === 0) {
      return { bytes: finish(this.#writer.pack(value, packAlone)), isShared: false }
    }
    const bytes = finish(this.#writer.pack(value, packShared))
    bytes[0] = count
    bytes[1] = count >> 8
    return { bytes, isShared: true }
  }

  /** Its maximum is above the number it is given, or it would never ask. */
  #makeWriter(): Packr {
    const structures = [...this.#table.lists]
    const limits =
      structures.length === 0
        ? // All in one byte, as in any self-contained message.
          { maxSharedStructures: 1, maxOwnStructures: firstBytes - 1 }
        : { maxSharedStructures: structureCountMax + 1, maxOwnStructures: 32 }
    const shouldShareStructure = (keys: string[]): false => {
      const line = this.#table.isFull ? undefined : this.#memory.recall(keys, this.#message)
      if (line !== undefined) this.#wanted.add(line)
      return false
    }
    return new Packr({ ...forms, ...limits, structures, shouldShareStructure })
  }
}

/** Stand in for structures that do not exist. */
const absent: string[][] = Array.from({ length: firstBytes }, () => [])
const absentBeyond: string[] = []

/**
 * All numbers up to the maximum are taken: msgpackr reads a number of two bytes only when the structure of its first
 * byte is there, and the numbers of structures defined inside messages follow, close enough for a dense array.
 */
function makeReader(lists: readonly string[][]): Packr {
  const structures: string[][] = []
  for (let number = 0; number <= structureCountMax; number++) {
    structures.push(lists[number] ?? absent[number] ?? absentBeyond)
  }
  const reader = new Packr({
    ...readForms,
    maxSharedStructures: structureCountMax + 1,
    getStructures: () => structures,
  })
  // It takes them over when it packs for the first time.
  reader.pack(null, packAlone)
  return reader
}

function unpack(unpackr: Unpackr, source: Buffer, start: number, end: number): unknown {
  range.start = start
  range.end = end
  return unpackr.unpack(source, range)
}

/** Lets go of the memory of a large message, which msgpackr would keep. */
function finish(bytes: Uint8Array): Uint8Array {
  if (bytes.length <= packedBytesKept) return bytes
  // A program may be packing with msgpackr itself, further up the stack: then the memory in use is that one's, and ours
  // is let go of anyway. Where the next message would begin tells.
  const first = bytes[0] as number
  const next = alonePackr.pack(null, packAlone)
  bytes[0] = first
  if (next.buffer === bytes.buffer) alonePackr.useBuffer(Buffer.allocUnsafeSlow(packedBytesMin))
  return bytes
}
