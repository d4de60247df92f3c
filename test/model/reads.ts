/**
 * Reads: shared read of the arena without a lock, near cache, lower tiers from the top down, promotion under a move
 * token. The topmost version found decides, expired ones and tombstones included.
 */
import { filterCellOf, isSameWord, type Meta, type Slot } from './arena.ts'
import type { Entry } from './disk.ts'
import { publish, writeRecord } from './records.ts'
import { type Key, REMOTE_PREFIX, type Steps, TORN, type Value, WAITING } from './subject.ts'
import type { NearEntry, World } from './world.ts'

interface RamRead {
  readonly meta: Meta
  readonly value: Value
  readonly slot: Slot
  readonly bucket: number
  readonly position: number
  readonly generation: number
}

export function* readRam(w: World, key: Key): Steps<RamRead | undefined> {
  for (;;) {
    const splitVersion = w.arena.bucketCount
    const bucket = w.arena.bucketOf(key)
    yield 'bucket chosen'
    const found = w.arena.find(key, bucket)
    if (found === undefined) {
      yield 'no slot'
      if (w.arena.bucketCount === splitVersion || w.is('splitWithoutVersionRecheck')) return undefined
      continue
    }
    const { slot, position } = found
    const segment = w.arena.segment(slot.segment)
    const generation = segment.generation
    const isOfGeneration = w.arena.isOfGeneration(slot)
    yield 'slot and generation loaded'
    const { meta, low } = segment.cells[slot.offset] ?? found.cell
    yield 'first word copied'
    const high = segment.cells[slot.offset]?.high
    yield 'second word copied'
    if (!w.is('readerSkipsValidation')) {
      const slotNow = w.arena.buckets[bucket]?.[position]
      if (!isSameWord(slotNow, slot) || slotNow?.key !== key || segment.generation !== generation) continue
      if (!isOfGeneration) return undefined
    }
    const value = low === high ? low : TORN
    return { meta, value, slot, bucket, position, generation }
  }
}

/** The live entry of the lower tiers, if the topmost version there is one. */
export function* readCold(w: World, key: Key): Steps<Entry | undefined> {
  const isRemote = key.startsWith(REMOTE_PREFIX)
  const isFilterAsked = w.arena.isFilterReady && (!isRemote || w.is('filterAnswersForRemote'))
  if (isFilterAsked && !w.arena.filter.has(filterCellOf(key))) return undefined
  yield 'filter says maybe'
  for (;;) {
    const row = w.disk.index.state.rows.get(key)
    yield row === undefined ? 'index has nothing' : `index has ${row.kind} ${row.version}`
    if (row === undefined) break
    if (row.kind === 'delete') return undefined
    const entry = w.disk.log.read(row.at)
    yield 'log read'
    if (entry !== undefined && entry.key === key && entry.version === row.version) {
      if (w.isAliveBelow(entry)) return entry
      if (w.is('readFallsThroughExpired')) break
      return undefined
    }
    const isIndexCurrent = w.disk.index.state.rows.get(key)?.at === row.at
    if (isIndexCurrent || w.is('readTrustsDeletedFile')) return undefined
  }
  const entry = w.disk.hdd.state.get(key)
  yield 'hdd read'
  if (entry !== undefined) return w.isAliveBelow(entry) ? entry : undefined
  const value = isRemote ? w.disk.remote.get(key) : undefined
  return value === undefined ? undefined : remoteEntry(key, value)
}

export function* get(w: World, key: Key, promote: boolean): Steps<Value | undefined> {
  for (;;) {
    const tokenAtStart = w.arena.tokenOf(key)
    const ram = yield* readRam(w, key)
    if (ram !== undefined) {
      if (w.isAlive(ram.meta)) return ram.value
      if (!w.is('readFallsThroughExpired') || ram.meta.isTombstone) return undefined
    }
    const token = w.arena.tokenOf(key)
    yield 'token taken'
    const entry = yield* readCold(w, key)
    if (promote && entry !== undefined && !key.startsWith(REMOTE_PREFIX)) yield* promoteEntry(w, entry, token)
    // What lies below may be dead because of a write that this read did not see in RAM: then it is no miss.
    const isFinal = tokenAtStart === w.arena.tokenOf(key) || w.is('coldMissWithoutToken')
    if (entry !== undefined || isFinal) return entry?.value
  }
}

/** Copies a cold record up, unless its stripe has changed since the token was taken. */
function* promoteEntry(w: World, entry: Entry, token: number): Steps {
  const wasUnchanged = token === w.arena.tokenOf(entry.key)
  const buckets = yield* w.lockKeys([entry.key])
  for (const [key, bucket] of buckets) {
    let isUnchanged = token === w.arena.tokenOf(key)
    if (w.is('tokenComparedOutsideLock')) isUnchanged = wasUnchanged
    if (w.is('promoteIfAbsentWithoutToken')) isUnchanged = true
    if (!isUnchanged || w.arena.find(key, bucket) !== undefined) continue
    const state = { isDirty: false, isCoverOwed: false }
    const slot = yield* writeRecord(w, metaOf(entry), entry.value, state)
    yield* publish(w, bucket, slot)
  }
  w.unlockKeys(buckets)
}

/** A consistent cut with respect to groups: read again when one was published meanwhile. */
export function* getMany(w: World, keys: readonly Key[]): Steps<(Value | undefined)[]> {
  for (;;) {
    const sequence = w.arena.groupSequence
    const isChecked = !w.is('groupReadWithoutSequence')
    if (isChecked && sequence % 2 === 1) {
      yield WAITING
      continue
    }
    yield 'group sequence read'
    const values: (Value | undefined)[] = []
    for (const key of keys) values.push(yield* get(w, key, false))
    if (!isChecked || w.arena.groupSequence === sequence) return values
  }
}

/** The decoded value is current while slot word, generation and change counter are what they were. */
export function* nearGet(w: World, client: number, key: Key): Steps<Value | undefined> {
  const cache = w.nearCaches.get(client) ?? new Map<Key, NearEntry>()
  w.nearCaches.set(client, cache)
  const entry = cache.get(key)
  if (entry !== undefined) {
    const slot = w.arena.buckets[entry.bucket]?.[entry.position]
    yield 'near: slot loaded'
    const isSameSlot = slot?.key === key && isSameWord(slot, entry.slot)
    const generation = w.arena.segments[entry.slot.segment]?.generation
    const isSameLife = generation === entry.generation || w.is('nearCacheComparesSlotWordOnly')
    yield 'near: generation loaded'
    const isSameSpace = entry.changeCounter === w.arena.changeCounter || w.is('nearCacheIgnoresClear')
    if (isSameSlot && isSameLife && isSameSpace && w.nowMs() < entry.expiresAtMs) return entry.value
    cache.delete(key)
  }
  const { changeCounter } = w.arena
  yield 'near: counter loaded'
  const ram = yield* readRam(w, key)
  if (ram === undefined) return yield* get(w, key, false)
  if (!w.isAlive(ram.meta)) return undefined
  // Tagged slots are special: no slot word changes when a tag is invalidated. Odd: a clear is under way.
  if (ram.meta.tags.length > 0 && !w.is('nearCacheIgnoresTags')) return ram.value
  if (changeCounter % 2 === 1) return ram.value
  const { expiresAtMs } = ram.meta
  cache.set(key, { ...ram, changeCounter, expiresAtMs })
  return ram.value
}

const metaOf = (entry: Entry): Meta => ({
  key: entry.key,
  version: entry.version,
  born: entry.born,
  expiresAtMs: entry.expiresAtMs,
  tags: entry.tags,
  durability: entry.arena === undefined ? 'async' : 'none',
  isTombstone: false,
  group: undefined,
})

const remoteEntry = (key: Key, value: Value): Entry => ({
  kind: 'put',
  key,
  version: 0,
  born: 0,
  value,
  expiresAtMs: Number.POSITIVE_INFINITY,
  tags: [],
  arena: undefined,
  isDrained: false,
})
