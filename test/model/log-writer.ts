/**
 * The writer of the value log. It is given names, not records: what it appends is the state each key has when its turn
 * comes, so values overwritten before are never written, and versions of a key grow along the log.
 */
import type { Cell } from './arena.ts'
import type { Entry } from './disk.ts'
import { type Key, type Steps, WAITING } from './subject.ts'
import { EPOCH_PREFIX, type World } from './world.ts'

export interface LogOptions {
  readonly sync: boolean
  /** Room is needed: `none` values go down as well. */
  readonly spill: boolean
}

export function* logKeys(w: World, names: Iterable<string>, options: LogOptions): Steps {
  yield* w.lock('log')
  // Half of a group is published: its members would be split.
  while (w.arena.groupSequence % 2 === 1 && !w.is('groupLoggedHalfPublished')) yield WAITING
  const chosen = w.is('groupSplitOverBatches') ? new Set(names) : withGroups(w, names)
  const entries: Entry[] = []
  for (const name of chosen) {
    // Taken out before it is read: a change after this queues it again.
    w.queue.delete(name)
    const entry = name.startsWith(EPOCH_PREFIX) ? epochEntry(w, name) : recordEntry(w, name, options.spill)
    if (entry !== undefined) entries.push(entry)
  }
  yield 'batch collected'
  if (entries.length > 0) w.disk.log.append(entries)
  yield `batch of ${entries.length} written`
  if (options.sync) {
    w.disk.log.sync()
    yield 'log synced'
    for (const { key, version } of entries) {
      const cell = w.arena.find(key)?.cell
      if (cell?.meta.version === version) cell.isCoverOwed = false
    }
  }
  w.unlock(['log'])
}

/** A group goes down in one batch: with a member go all its other members, as they are now, and their groups. */
function withGroups(w: World, names: Iterable<string>): Set<string> {
  const chosen = new Set(names)
  for (const name of chosen) {
    const cell = w.arena.find(name)?.cell
    if (cell?.isDirty !== true) continue
    for (const { key } of cell.meta.group?.members ?? []) chosen.add(key)
  }
  return chosen
}

function recordEntry(w: World, key: Key, spill: boolean): Entry | undefined {
  const cell = w.arena.find(key)?.cell
  if (cell === undefined) return deleteOutsideArena(w, key)
  if (!cell.isDirty) return undefined
  const { meta } = cell
  if (meta.isTombstone) return entryOf(w, cell, 'delete')
  if (w.isExpired(meta)) {
    const isSkipped = w.is('expiredSkippedInFlush') || (spill && w.is('expiredDroppedInEviction'))
    if (!isSkipped) return entryOf(w, cell, 'delete')
    cell.isDirty = false
    return undefined
  }
  if (meta.durability !== 'none') return entryOf(w, cell, 'put')
  if (spill) return entryOf(w, cell, 'put')
  return cell.isCoverOwed ? entryOf(w, cell, 'delete') : undefined
}

const entryOf = (w: World, { meta, low }: Cell, kind: 'put' | 'delete'): Entry => ({
  kind,
  key: meta.key,
  version: meta.version,
  born: meta.born,
  value: low,
  expiresAtMs: meta.expiresAtMs,
  tags: meta.tags,
  arena: kind === 'put' && meta.durability === 'none' ? w.arena.id : undefined,
  isDrained: false,
})

const epochEntry = (w: World, name: string): Entry =>
  bareEntry('epoch', name, w.epochOf(name.slice(EPOCH_PREFIX.length)))

const deleteOutsideArena = (w: World, key: Key): Entry | undefined => {
  const version = w.processDeletes.get(key)
  return version === undefined ? undefined : bareEntry('delete', key, version)
}

const bareEntry = (kind: 'delete' | 'epoch', key: string, clock: number): Entry => ({
  kind,
  key,
  version: clock,
  born: clock,
  value: 0,
  expiresAtMs: Number.POSITIVE_INFINITY,
  tags: [],
  arena: undefined,
  isDrained: false,
})
