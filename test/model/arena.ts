/**
 * The shared memory: index of slots, segments of records, move tokens, epochs, absent filter, highest clock word. It
 * outlives a killed process and is gone after a power cut. Everything here is one step; protocols are in the files
 * beside it. Small on purpose (two records a segment, one bit of generation in a slot), so that rare things are common.
 */
import type { Durability, Key, Value } from './subject.ts'

export const SEGMENT_RECORDS = 2
export const STRIPES = 4
export const FILTER_CELLS = 2
const BUCKETS_AT_START = 2
const BUCKETS_MAX = 8
/** One bit of a segment's generation is kept in a slot; it says the same again after two lives. */
const GENERATION_LOW_MASK = 1

export interface Meta {
  readonly key: Key
  readonly version: number
  /** Clock of the value, which epochs are compared with; a touch keeps it, a fill has its lease's. */
  readonly born: number
  readonly expiresAtMs: number
  readonly tags: readonly string[]
  readonly durability: Durability
  readonly isTombstone: boolean
  readonly group: Group | undefined
}

/** A record: the value is two words, so that half of it can be seen. */
export interface Cell {
  meta: Meta
  low: Value
  high: Value
  /** Not yet in the log and in a committed checkpoint. */
  isDirty: boolean
  /** A `none` record whose durable delete of what lies below is not synced yet. */
  isCoverOwed: boolean
}

export interface Segment {
  generation: number
  state: 'free' | 'open' | 'sealed'
  cells: Cell[]
  used: number
  /** Appenders between reserve and publish. */
  writers: number
}

/** The slot word. The key stands for the tag. */
export interface Slot {
  readonly key: Key
  readonly segment: number
  readonly generationLow: number
  readonly offset: number
}

export interface Group {
  readonly id: number
  readonly members: { readonly key: Key; readonly slot: Slot }[]
  isComplete: boolean
}

export interface Found {
  readonly bucket: number
  readonly position: number
  readonly slot: Slot
  readonly cell: Cell
}

export const isSameWord = (a: Slot | undefined, b: Slot): boolean =>
  a !== undefined && a.segment === b.segment && a.generationLow === b.generationLow && a.offset === b.offset

/** Distinct for up to eight keys, and neighbours in number are not neighbours in the index. */
export const hashOf = (key: Key): number => (Number(key.slice(1)) * 5 + 3) % 8

export const stripeOf = (key: Key): number => hashOf(key) % STRIPES

export const filterCellOf = (key: Key): number => hashOf(key) % FILTER_CELLS

export class Arena {
  readonly id: number
  /** Holes are allowed: a near cache remembers positions. */
  buckets: (Slot | undefined)[][] = [[], []]
  /** Published number of buckets: split pointer and split version in one. */
  bucketCount = BUCKETS_AT_START
  readonly segments: Segment[] = []
  /** Indexes of segments in the order they were opened. */
  order: number[] = []
  readonly tokens: number[] = new Array<number>(STRIPES).fill(0)
  readonly epochs = new Map<string, number>()
  /** Odd while the namespace is being cleared. */
  changeCounter = 0
  /** Odd while a group is being published. */
  groupSequence = 0
  groups: Group[] = []
  filter = new Set<number>()
  filterNext: Set<number> | undefined
  isFilterReady: boolean
  /** Highest clock word given out. */
  highest: number

  constructor(id: number, highest: number, isFilterReady: boolean) {
    this.id = id
    this.highest = highest
    this.isFilterReady = isFilterReady
  }

  bucketOf(key: Key, count = this.bucketCount): number {
    const hash = hashOf(key)
    let span = BUCKETS_AT_START
    while (span * 2 <= count) span *= 2
    const wide = hash % (span * 2)
    return wide < count ? wide : hash % span
  }

  /** The two buckets the next split concerns. */
  nextSplit(): { from: number; to: number } | undefined {
    if (this.bucketCount >= BUCKETS_MAX) return undefined
    let span = BUCKETS_AT_START
    while (span * 2 <= this.bucketCount) span *= 2
    return { from: this.bucketCount - span, to: this.bucketCount }
  }

  find(key: Key, bucket = this.bucketOf(key)): Found | undefined {
    const slots = this.buckets[bucket] ?? []
    const position = slots.findIndex((slot) => slot?.key === key)
    const slot = slots[position]
    if (slot === undefined) return undefined
    const cell = this.segments[slot.segment]?.cells[slot.offset]
    return cell === undefined ? undefined : { bucket, position, slot, cell }
  }

  publish(bucket: number, slot: Slot): void {
    this.buckets[bucket] ??= []
    const slots = this.buckets[bucket]
    let position = slots.findIndex((other) => other?.key === slot.key)
    if (position < 0) position = slots.indexOf(undefined)
    slots[position < 0 ? slots.length : position] = slot
  }

  unpublish(bucket: number, key: Key): void {
    const slots = this.buckets[bucket] ?? []
    const position = slots.findIndex((slot) => slot?.key === key)
    if (position >= 0) slots[position] = undefined
  }

  bump(key: Key): void {
    this.tokens[stripeOf(key)] = this.tokenOf(key) + 1
  }

  tokenOf(key: Key): number {
    return this.tokens[stripeOf(key)] ?? 0
  }

  /** Takes room for one record; the segment is not recycled before `release`. */
  reserve(key: Key): Slot {
    let index = this.segments.findIndex((segment) => segment.state === 'open')
    if (index < 0) {
      index = this.segments.findIndex((segment) => segment.state === 'free')
      if (index < 0) index = this.segments.push(newSegment()) - 1
      this.order.push(index)
    }
    const segment = this.segment(index)
    const offset = segment.used++
    segment.writers++
    segment.state = segment.used === SEGMENT_RECORDS ? 'sealed' : 'open'
    return { key, segment: index, generationLow: segment.generation & GENERATION_LOW_MASK, offset }
  }

  release(slot: Slot): void {
    this.segment(slot.segment).writers--
  }

  segment(index: number): Segment {
    const segment = this.segments[index]
    if (segment === undefined) throw new RangeError(`no segment ${index}`)
    return segment
  }

  /** Whether the slot belongs to the life its segment is in. */
  isOfGeneration(slot: Slot): boolean {
    return (this.segment(slot.segment).generation & GENERATION_LOW_MASK) === slot.generationLow
  }

  slots(): Slot[] {
    return this.buckets
      .slice(0, this.bucketCount)
      .flat()
      .filter((slot) => slot !== undefined)
  }

  keysIn(segment: number): Key[] {
    return [...new Set(this.slots().flatMap((slot) => (slot.segment === segment ? [slot.key] : [])))]
  }

  retire(index: number): void {
    const segment = this.segment(index)
    segment.generation++
    segment.state = 'free'
    segment.used = 0
    this.order = this.order.filter((other) => other !== index)
  }
}

const newSegment = (): Segment => ({ generation: 0, state: 'free', cells: [], used: 0, writers: 0 })
