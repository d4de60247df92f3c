/**
 * The near cache: decoded values of one namespace in one thread, never stale. With a value stands where its record was
 * found: the slot word, the generation of its segment, and the clear epoch of the namespace. While all three are what
 * they were, no write, delete, eviction, move or clear has touched the key, in whatever process: a few loads instead of a
 * lookup, a copy and a decoding. Slots whose validity takes more than that (tags, sliding expiry, values in runs) are
 * never kept. `docs/decisions/0021-near-cache.md`.
 *
 * Not a use of the entry in the eyes of the eviction: a drain that looks at an entry moves it, and then the next read is
 * a lookup again, which is.
 *
 * Two maps in turn in place of a list of uses: what is read moves to the young one; when that is half of what may be
 * kept, the old one goes. A key is kept from its second read on. When too few reads are answered, it rests: then a read
 * pays a comparison for it.
 */
import { systemClock } from '../base/clock.ts'
import type { ArenaView, SlotAt } from './arena-view.ts'
import { Control, control } from './scratch.ts'

/** What a namespace in a thread may keep. */
export interface NearLimits {
  readonly entries: number
}

/** Of one value; a longer one is copied faster than it is worth keeping. */
export const nearBytesMax = 4096
/** And of all together, for each entry that may be kept. */
const bytesPerEntry = 1024

/** As in `native/core/src/layout.rs`. */
const namespaceWords = 16
const counterHalves = 256
const hitsHalf = 4

/** Reads after which it is asked whether it is worth it, for each entry that may be kept; at least so many. */
const windowPerEntry = 2
const windowLeast = 1024
/** The share of them that must be answered; else it rests for as many times as long. */
const worthShare = 1 / 8
const restFactor = 16
/** Keys of which is remembered that they were read once: as many as may be kept, within these. */
const onceLeast = 256
const onceMost = 65_536

/** Where a record was found, and what stood there. */
interface Place {
  readonly bytes: number
  readonly slot: SlotAt
  readonly bits: number
  readonly generationHalf: number
  readonly generation: number
  readonly epoch: number
  /** Milliseconds since 1970; 0 = never. */
  readonly expiresAt: number
}

interface Near {
  readonly value: unknown
  /** An object, which only those get who asked for a frozen one. */
  readonly isFrozen: boolean
  readonly place: Place
}

export class NearCache {
  readonly #view: ArenaView
  readonly #epochWord: number
  readonly #hitsHalf: number
  readonly #entriesHalf: number
  readonly #bytesHalf: number
  #young = new Map<string, Near>()
  #old = new Map<string, Near>()
  #youngBytes = 0
  /** The slot each key was found in when it was read once, by the low bits of that slot. */
  readonly #once: Uint32Array
  readonly #window: number
  #resting = 0
  #reads = 0
  #hits = 0

  constructor(view: ArenaView, [namespace, counterSlot]: readonly [number, number], limits: NearLimits) {
    this.#view = view
    this.#epochWord = view.namespacesWord + namespace * namespaceWords
    this.#hitsHalf = counterSlot * counterHalves + hitsHalf
    this.#entriesHalf = Math.max(1, limits.entries / 2)
    this.#bytesHalf = this.#entriesHalf * bytesPerEntry
    this.#window = Math.max(windowLeast, limits.entries * windowPerEntry)
    const once = Math.min(onceMost, Math.max(onceLeast, limits.entries))
    this.#once = new Uint32Array(2 ** Math.ceil(Math.log2(once)))
  }

  /** Nothing is looked for or kept for a while. Counts the read. */
  rests(): boolean {
    if (this.#resting === 0) return false
    this.#resting--
    return true
  }

  /** The epoch of the last clear, to be read before the value that is going to be kept. */
  epoch(): number {
    return this.#view.words[this.#epochWord] as number
  }

  /** The current value of a key, counted as a hit; `undefined` when it is not here. */
  find(key: string, wantsFrozen: boolean): unknown {
    if (this.#reads++ === this.#window) this.#judge()
    let near = this.#young.get(key)
    if (near === undefined) {
      near = this.#old.get(key)
      if (near === undefined) return undefined
      this.#old.delete(key)
      this.#put(key, near)
    }
    if (!this.#isCurrent(near.place) || (near.isFrozen && !wantsFrozen)) return undefined
    this.#hits++
    const { counters } = this.#view
    const low = ((counters[this.#hitsHalf] as number) + 1) >>> 0
    counters[this.#hitsHalf] = low
    if (low === 0) counters[this.#hitsHalf + 1] = ((counters[this.#hitsHalf + 1] as number) + 1) >>> 0
    return near.value
  }

  /**
   * Where the last native read has found its record, if that is worth keeping: right after the read, as any other changes
   * the control words. `epoch` is from before it.
   */
  placeOfRead(bytes: number, epoch: number): Place | undefined {
    const word = control[Control.slot] as number
    if (word === 0 || bytes > nearBytesMax) return undefined
    const mark = word >>> 0
    const at = mark & (this.#once.length - 1)
    if (this.#once[at] !== mark) {
      this.#once[at] = mark
      return undefined
    }
    const slot = this.#view.slotAt(word)
    if (slot === undefined) return undefined
    return {
      bytes,
      slot,
      bits: control[Control.slotBits] as number,
      generationHalf: (control[Control.generationAt] as number) * 2,
      generation: control[Control.generation] as number,
      epoch,
      expiresAt: control[Control.slotExpires] as number,
    }
  }

  keep(key: string, value: unknown, isFrozen: boolean, place: Place): void {
    this.#put(key, { value, isFrozen, place })
  }

  clear(): void {
    this.#young = new Map()
    this.#old = new Map()
    this.#youngBytes = 0
  }

  #isCurrent(place: Place): boolean {
    const { words, chunkWords, halves, bucketCountHalf } = this.#view
    const { slot } = place
    return (
      (slot.isInChunk ? chunkWords : words)[slot.word] === place.bits &&
      halves[place.generationHalf] === place.generation &&
      words[this.#epochWord] === place.epoch &&
      // 0 when nobody owns the store any more.
      halves[bucketCountHalf] !== 0 &&
      (place.expiresAt === 0 || place.expiresAt > this.#now())
    )
  }

  #put(key: string, near: Near): void {
    if (this.#young.size >= this.#entriesHalf || this.#youngBytes + near.place.bytes > this.#bytesHalf) {
      this.#old = this.#young
      this.#young = new Map()
      this.#youngBytes = 0
    }
    this.#young.set(key, near)
    this.#youngBytes += near.place.bytes
  }

  #judge(): void {
    if (this.#hits < this.#reads * worthShare) {
      this.#resting = this.#window * restFactor
      this.clear()
    }
    this.#reads = 0
    this.#hits = 0
  }

  /** As `Arena::expiry_now_ms`: never before the newest write. */
  #now(): number {
    const { halves, clockHalf, manualClockHalf } = this.#view
    const low = (at: number) => halves[at] as number
    const high = (at: number) => halves[at + 1] as number
    const manual = high(manualClockHalf) * 2 ** 32 + low(manualClockHalf)
    // A clock is milliseconds with a counter of 16 bits below them.
    const clock = high(clockHalf) * 2 ** 16 + (low(clockHalf) >>> 16)
    return Math.max(manual === 0 ? systemClock.nowMs() : manual, clock)
  }
}
