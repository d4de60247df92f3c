/**
 * The tables and the index of the arena as typed arrays: what JavaScript may look at without a native call. One for each
 * open store in a thread. `native/node/src/view.rs` makes it.
 *
 * The bytes change under the reader's feet: nothing here is a value, only words that are compared with ones seen before.
 * Slots lie at the same place in every view of an arena.
 */
import { type ArenaBuffers, binding, type NativeHandle } from './binding.ts'

/** Halves of a word, the low one first. */
const halvesOfWord = 2
const noWords = new Float64Array(0)

/** One slot, in a view that has no words any more when another one has taken its place. */
export interface SlotAt {
  readonly words: Float64Array
  readonly word: number
}

export class ArenaView {
  readonly #handle: NativeHandle
  #chunksWord = 0
  /** Superblock, namespaces, segment table and buckets; slots are ordinary doubles by their format. */
  words = noWords
  /** Overflow chunks of buckets. */
  chunkWords = noWords
  /** `words` in halves. */
  halves = new Uint32Array(0)
  /** Counter slots, in halves of counters. */
  counters = new Uint32Array(0)
  namespacesWord = 0
  bucketCountHalf = 0
  clockHalf = 0
  manualClockHalf = 0

  constructor(handle: NativeHandle) {
    this.#handle = handle
  }

  get isOpen(): boolean {
    return this.words.length > 0
  }

  /** Throws when the store is closed. */
  open(): void {
    this.close()
    const into = {} as ArenaBuffers
    const places = binding().viewArena(this.#handle, into)
    this.words = new Float64Array(into.data)
    this.chunkWords = new Float64Array(into.chunks)
    this.halves = new Uint32Array(into.data)
    this.counters = new Uint32Array(into.counters)
    this.namespacesWord = places.namespacesWord
    this.bucketCountHalf = places.bucketCountWord * halvesOfWord
    this.clockHalf = places.clockWord * halvesOfWord
    this.manualClockHalf = places.manualClockWord * halvesOfWord
    this.#chunksWord = places.chunksWord
  }

  /** A slot that a read was told of, where this can see it; the index may have grown, and then the view does. */
  slotAt(word: number): SlotAt | undefined {
    const at = this.#at(word)
    if (at.word < at.words.length) return at
    this.open()
    const again = this.#at(word)
    return again.word < again.words.length ? again : undefined
  }

  #at(word: number): SlotAt {
    const isInChunk = word >= this.#chunksWord
    return isInChunk ? { words: this.chunkWords, word: word - this.#chunksWord } : { words: this.words, word }
  }

  /** Gives the memory back; every look finds nothing from now on. */
  close(): void {
    for (const { buffer, length } of [this.words, this.chunkWords, this.counters]) {
      if (length > 0) binding().dropView(buffer as ArrayBuffer)
    }
  }
}
