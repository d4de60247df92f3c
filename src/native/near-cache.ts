/**
 * The near cache: decoded values of one namespace in one thread, never stale. With a value stands where its record was
 * found: the slot word, the generation of its segment, and the clear epoch of the namespace. While all three are what
 * they were, no write, delete, eviction, move or clear has touched the key, in whatever process: a few loads instead of a
 * lookup, a copy and a decoding. Slots whose validity takes more than that (tags, sliding expiry, values in runs) are
 * never kept. `docs/decisions/0021-near-cache.md`.
 *
 * Strings and numbers are given out as they are. An array or object is kept for itself: who asks for a frozen one gets
 * that one, frozen; everybody else a copy of his own. `docs/decisions/0028-near-copies.md`.
 *
 * Not a use of the entry in the eyes of the eviction: a drain that looks at an entry moves it, and then the next read is
 * a lookup again, which is.
 *
 * Two maps in turn in place of a list of uses: what is read moves to the young one; when that is half of what may be
 * kept, the old one goes. A key is kept from its second read on. When too few reads are answered, it rests: then a read
 * pays a comparison for it.
 */
import { systemClock } from '../base/clock.ts'
import { freshSeed, Prng } from '../base/prng.ts'
import { type Copier, copierOf } from '../codec/copy.ts'
import { freezeDeep } from '../codec/freeze.ts'
import type { ArenaView } from './arena-view.ts'
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

/** Misses after which it is asked whether it is worth it, for each entry that may be kept; at least so many. */
const windowPerEntry = 2
const windowLeast = 1024
/** Hits for each of them that make it worth it; else it rests for as many times as long. */
const worthHits = 1 / 8
const restFactor = 16
/** Keys of which is remembered that they were read once: as many as may be kept, within these. */
const onceLeast = 256
const onceMost = 65_536

/** One hit in so many is sampled, on average, and at random: hits that come in a fixed order are all to have their turn. */
const sampleEvery = 64
const samplesAfterHits = 8

const chance = new Prng(freshSeed())

/** A value and where it was found: all that a hit looks at, in one object. */
class Near {
  readonly value: unknown
  /** `undefined` for what needs no copies. */
  readonly copier: Copier | undefined
  isFrozen = false
  /** The slot, as the arena counts its words. */
  readonly slot: number
  /** The same one in a view, which has no words any more when another one has taken its place. */
  readonly words: Float64Array
  readonly word: number
  readonly bits: number
  readonly generationHalf: number
  readonly generation: number
  readonly epoch: number
  /** Milliseconds since 1970; 0 = never. */
  readonly expiresAt: number
  readonly bytes: number

  constructor(value: unknown, copier: Copier | undefined, place: Place) {
    this.value = value
    this.copier = copier
    this.slot = place.slot
    this.words = place.words
    this.word = place.word
    this.bits = place.bits
    this.generationHalf = place.generationHalf
    this.generation = place.generation
    this.epoch = place.epoch
    this.expiresAt = place.expiresAt
    this.bytes = place.bytes
  }
}

/** Where a record was found, and what stood there. */
type Place = Omit<Near, 'value' | 'copier' | 'isFrozen'>

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
  #misses = 0
  /** Those up to the last sample: a hit counts itself for everybody to see, not a second time. */
  #hits = 0
  #untilSample = sampleEvery
  #sampleStep = sampleEvery

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
    let near = this.#young.get(key)
    if (near === undefined) {
      near = this.#old.get(key)
      if (near === undefined) return this.#missed()
      this.#old.delete(key)
      this.#put(key, near)
    }
    if (!this.#isCurrent(near)) return this.#missed()
    const { counters } = this.#view
    const low = ((counters[this.#hitsHalf] as number) + 1) >>> 0
    counters[this.#hitsHalf] = low
    if (low === 0) counters[this.#hitsHalf + 1] = ((counters[this.#hitsHalf + 1] as number) + 1) >>> 0
    if (--this.#untilSample === 0) this.#sample(near.slot)
    return near.copier === undefined ? near.value : give(near, wantsFrozen)
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
      slot: word,
      words: slot.words,
      word: slot.word,
      bits: control[Control.slotBits] as number,
      generationHalf: (control[Control.generationAt] as number) * 2,
      generation: control[Control.generation] as number,
      epoch,
      expiresAt: control[Control.slotExpires] as number,
    }
  }

  /** As `CounterSlot::note_sample`. */
  #sample(slot: number): void {
    const { counters } = this.#view
    const samples = this.#hitsHalf + samplesAfterHits
    counters[samples + 2] = slot >>> 0
    counters[samples + 3] = Math.floor(slot / 2 ** 32)
    counters[samples] = ((counters[samples] as number) + 1) >>> 0
    this.#hits += this.#sampleStep
    this.#sampleStep = 1 + chance.below(2 * sampleEvery - 1)
    this.#untilSample = this.#sampleStep
  }

  /** Keeps a value that nobody else has, and gives it out: frozen, a copy, or itself where it cannot be kept. */
  keep(key: string, value: unknown, wantsFrozen: boolean, place: Place): unknown {
    const copier = typeof value === 'object' ? copierOf(value) : undefined
    if (typeof value === 'object' && value !== null && copier === undefined) return value
    const near = new Near(value, copier, place)
    this.#put(key, near)
    return copier === undefined ? value : give(near, wantsFrozen)
  }

  clear(): void {
    this.#young = new Map()
    this.#old = new Map()
    this.#youngBytes = 0
  }

  #isCurrent(near: Near): boolean {
    const view = this.#view
    const { halves } = view
    return (
      near.words[near.word] === near.bits &&
      halves[near.generationHalf] === near.generation &&
      view.words[this.#epochWord] === near.epoch &&
      // 0 when nobody owns the store any more.
      halves[view.bucketCountHalf] !== 0 &&
      (near.expiresAt === 0 || near.expiresAt > this.#now())
    )
  }

  #put(key: string, near: Near): void {
    if (this.#young.size >= this.#entriesHalf || this.#youngBytes + near.bytes > this.#bytesHalf) {
      this.#old = this.#young
      this.#young = new Map()
      this.#youngBytes = 0
    }
    this.#young.set(key, near)
    this.#youngBytes += near.bytes
  }

  #missed(): undefined {
    if (++this.#misses < this.#window) return
    if (this.#hits < this.#misses * worthHits) {
      this.#resting = this.#window * restFactor
      this.clear()
    }
    this.#misses = 0
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

/** What a reader gets of an array or object that is kept. */
function give(near: Near, wantsFrozen: boolean): unknown {
  if (!wantsFrozen) return (near.copier as Copier)(near.value)
  if (!near.isFrozen) near.isFrozen = freezeDeep(near.value)
  return near.value
}
