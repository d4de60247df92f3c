/**
 * Movement between tiers: log to index (checkpoint), RAM down (evict), log file to its head or to HDD (drain), deletes
 * down to HDD (sweep). Always: below synced, then above dropped; and a drop only of exactly what was moved.
 * LOCK order: mover, then index, then log, then buckets.
 */
import { filterCellOf } from './arena.ts'
import { type Entry, type Index, isBefore, type Position, type Row } from './disk.ts'
import { logKeys } from './log-writer.ts'
import { publish, writeRecord } from './records.ts'
import type { Key, Steps } from './subject.ts'
import { EPOCH_PREFIX, type World } from './world.ts'

/** Added before the tier commit; a copy under construction receives every add. */
function filterAdd(w: World, keys: Iterable<Key>): void {
  for (const key of keys) {
    w.arena.filter.add(filterCellOf(key))
    if (!w.is('filterRebuildMissesAdds')) w.arena.filterNext?.add(filterCellOf(key))
  }
}

/** The index as the log up to `end` says it is. The version decides, never the position. */
export function foldLog(w: World, index: Index, end: Position): Index {
  const rows = new Map(index.rows)
  const epochs = new Map(index.epochs)
  for (const { entry, at } of w.disk.log.range(index.position, end)) {
    const { key, kind, version } = entry
    if (kind === 'epoch') {
      const name = key.slice(EPOCH_PREFIX.length)
      epochs.set(name, Math.max(epochs.get(name) ?? 0, version))
      continue
    }
    if (w.is('expiredSkippedInReplay') && kind === 'put' && w.isExpired(entry)) continue
    const standing = rows.get(key)
    const isCurrent = entry.isDrained ? isCopyCurrent(w, entry, standing) : isNewer(w, entry, standing)
    if (isCurrent || w.is('drainByPosition')) rows.set(key, { kind, version, at })
  }
  return { rows, epochs, position: isBefore(index.position, end) ? end : index.position }
}

/** At the same version a value stands over the durable delete that was written to cover it. */
function isNewer(w: World, { kind, version }: Entry, standing: Row | undefined): boolean {
  if (standing === undefined || version !== standing.version) return version > (standing?.version ?? 0)
  return kind === 'put' || standing.kind === 'delete' || w.is('coverErasesSpilledValue')
}

/** A drained copy stands for the record it was made from, and only while that is the one in the index. */
function isCopyCurrent(w: World, entry: Entry, standing: Row | undefined): boolean {
  if (standing === undefined) return w.is('drainRevivesDroppedKey')
  return standing.version === entry.version && standing.kind === entry.kind
}

export function* checkpoint(w: World, isSynced: boolean): Steps {
  yield* w.lock('index')
  const end = w.disk.log.end()
  const range = [...w.disk.log.range(w.disk.index.state.position, end)]
  yield 'log end noted'
  if (!w.is('indexBeforeLogSync')) w.disk.log.sync()
  yield 'log synced'
  if (!w.is('unpublishBeforeFilterAdd')) {
    filterAdd(
      w,
      range.map(({ entry }) => entry.key),
    )
  }
  yield 'filter added'
  w.disk.index.commit((index) => foldLog(w, index, end))
  yield 'index committed'
  for (const { entry } of range) markClean(w, entry.key)
  yield 'records marked clean'
  if (isSynced) {
    w.disk.index.sync()
    yield 'index synced'
  }
  w.unlock(['index'])
}

/** Clean: readable unchanged from below. A row that only covers a `none` value does not make it so. */
function markClean(w: World, key: Key): void {
  const cell = w.arena.find(key)?.cell
  const row = w.disk.index.state.rows.get(key)
  if (cell === undefined || row?.version !== cell.meta.version) return
  if (row.kind === 'put' || cell.meta.isTombstone || w.isExpired(cell.meta)) cell.isDirty = false
}

/** Empties the oldest segment: touched records are appended again, clean ones leave, then the segment is recycled. */
export function* evict(w: World, choice: number): Steps {
  const [index] = w.arena.order
  if (index === undefined) return
  const segment = w.arena.segment(index)
  segment.state = 'sealed'
  yield `segment ${index} sealed`
  if (w.is('recycleBeforeUnpublish')) {
    w.arena.retire(index)
    yield 'segment recycled'
  }
  const keys = w.arena.keysIn(index)
  yield* logKeys(w, keys, { sync: false, spill: true })
  yield* checkpoint(w, false)
  for (const [at, key] of keys.entries()) yield* evictKey(w, index, key, isTouched(choice, at))
  const isUnused = segment.writers === 0 || w.is('recycleIgnoresAppenders')
  const isEmpty = w.arena.keysIn(index).length === 0 && isUnused
  if (isEmpty && segment.state === 'sealed' && w.arena.order.includes(index)) {
    w.arena.retire(index)
    yield `segment ${index} recycled`
  }
}

function* evictKey(w: World, index: number, key: Key, isTouched: boolean): Steps {
  const buckets = yield* w.lockKeys([key])
  for (const bucket of buckets.values()) {
    const found = w.arena.find(key, bucket)
    if (found?.slot.segment !== index) continue
    const { meta, low, isDirty, isCoverOwed } = found.cell
    if (isTouched && w.isAlive(meta)) {
      const slot = yield* writeRecord(w, meta, low, { isDirty, isCoverOwed })
      yield* publish(w, bucket, slot)
      continue
    }
    const isTombstoneDropped = meta.isTombstone && w.is('tombstoneLeavesBeforeLowerDelete')
    if (isDirty && !isTombstoneDropped) continue
    w.arena.unpublish(bucket, key)
    yield `slot of ${key} cleared`
    if (w.is('unpublishBeforeFilterAdd')) filterAdd(w, [key])
    if (!w.is('evictionKeepsToken')) w.arena.bump(key)
    yield 'token bumped'
  }
  w.unlockKeys(buckets)
}

/**
 * Empties the oldest log file: touched records are appended at the head, the others go to HDD. The file is deleted when
 * no row points into it, by a later drain if the head has still to reach the index.
 */
export function* drain(w: World, choice: number): Steps {
  yield* w.lock('mover')
  const { log, index } = w.disk
  const file = log.oldestBefore(index.synced().position)
  if (file === undefined) return w.unlock(['mover'])
  const copied: Entry[] = []
  const sunk: Entry[] = []
  const sunkRows = new Map<Key, Row>()
  for (const [key, row] of index.state.rows) {
    const entry = row.at.file === file && row.kind === 'put' ? log.read(row.at) : undefined
    if (entry === undefined) continue
    if (isTouched(choice, copied.length + sunk.length) && w.isAliveBelow(entry)) copied.push(entry)
    else {
      sunk.push(entry)
      sunkRows.set(key, row)
    }
  }
  yield `file ${file} read`
  if (copied.length > 0) {
    yield* w.lock('log')
    log.append(copied.map((entry) => ({ ...entry, isDrained: true })))
    w.unlock(['log'])
    yield 'touched records appended at the head'
  }
  if (sunk.length > 0) yield* sink(w, sunk, sunkRows)
  if (!w.is('fileDeletedBeforeIndexSync')) index.sync()
  yield 'index synced'
  const isEmpty = [...index.state.rows.values()].every((row) => row.at.file !== file)
  if (isEmpty) log.files.delete(file)
  yield isEmpty ? `file ${file} deleted` : `file ${file} still in use`
  w.unlock(['mover'])
}

/** Demotes: HDD written and synced, then the rows that still say the same are dropped. The dead sink as deletes. */
function* sink(w: World, entries: readonly Entry[], rows: ReadonlyMap<Key, Row>): Steps {
  filterAdd(w, rows.keys())
  yield 'filter added'
  w.disk.hdd.commit((state) => {
    const next = new Map(state)
    for (const entry of entries) {
      if (w.isAliveBelow(entry)) next.set(entry.key, entry)
      else if (!w.is('expiredDroppedInDemotion')) next.delete(entry.key)
    }
    return next
  })
  yield 'hdd written'
  if (!w.is('dropAboveBeforeLowerSynced')) w.disk.hdd.sync()
  yield 'hdd synced'
  dropRows(w, rows)
  yield 'index rows dropped'
}

/** Deletes on HDD what the index has tombstones for; the tombstones stay until that is synced. */
export function* sweep(w: World): Steps {
  if (!w.is('sweepOutsideMoverQueue')) yield* w.lock('mover')
  const rows = new Map([...w.disk.index.state.rows].filter(([, row]) => row.kind === 'delete'))
  yield `${rows.size} tombstones`
  w.disk.hdd.commit((state) => new Map([...state].filter(([key]) => !rows.has(key))))
  yield 'hdd deleted'
  if (!w.is('tombstoneDropsBeforeLowerSynced')) w.disk.hdd.sync()
  yield 'hdd synced'
  dropRows(w, rows)
  yield 'tombstones dropped'
  if (w.is('filterRemovesOnDelete')) for (const key of rows.keys()) w.arena.filter.delete(filterCellOf(key))
  if (!w.is('sweepOutsideMoverQueue')) w.unlock(['mover'])
}

function dropRows(w: World, dropped: ReadonlyMap<Key, Row>): void {
  w.disk.index.commit((index) => ({
    ...index,
    rows: new Map([...index.rows].filter(([key, row]) => row.at !== dropped.get(key)?.at)),
  }))
}

const isTouched = (choice: number, at: number): boolean => ((choice >> at) & 1) === 1
