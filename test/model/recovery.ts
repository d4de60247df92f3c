/** Coming back: takeover of the arena a killed owner left, or a start from the disks after a power cut. */
import { type Arena, isSameWord, type Slot } from './arena.ts'
import { foldLog } from './movement.ts'
import type { Steps } from './subject.ts'
import { EPOCH_PREFIX, type World } from './world.ts'

export function* recover(w: World, hasArena: boolean): Steps {
  if (!w.is('tornBatchAccepted')) w.disk.log.truncateTorn()
  yield 'log checked'
  // A position is never used twice, not even one the index points to by mistake.
  w.disk.log.roll()
  yield 'log head begun'
  yield* hasArena ? takeover(w) : restart(w)
}

function* takeover(w: World): Steps {
  const { arena } = w
  if (!w.is('takeoverKeepsStraySlots')) dropStraySlots(arena)
  for (const segment of arena.segments) segment.writers = 0
  arena.filterNext = undefined
  yield 'index checked'
  for (const group of arena.groups) {
    if (!group.isComplete) continue
    for (const { key, slot } of group.members) {
      if (isNewer(arena, slot)) arena.publish(arena.bucketOf(key), slot)
      arena.bump(key)
    }
  }
  arena.groups = []
  arena.groupSequence += arena.groupSequence % 2
  arena.changeCounter += arena.changeCounter % 2
  yield 'groups completed'
  if (!w.is('takeoverForgetsEpochs')) for (const name of arena.epochs.keys()) w.queue.add(EPOCH_PREFIX + name)
  if (!w.is('takeoverSkipsDirtyReplay')) for (const { key } of arena.slots()) requeue(w, key)
  else for (const { key } of arena.slots()) forgetDirty(arena, key)
  yield 'dirty records queued'
}

/** A split cut short leaves slots in two buckets. */
function dropStraySlots(arena: Arena): void {
  arena.buckets.length = arena.bucketCount
  for (const [bucket, slots] of arena.buckets.entries()) {
    for (const [position, slot] of slots.entries()) {
      if (slot !== undefined && arena.bucketOf(slot.key) !== bucket) slots[position] = undefined
    }
  }
}

function isNewer(arena: Arena, slot: Slot): boolean {
  const version = arena.segment(slot.segment).cells[slot.offset]?.meta.version ?? 0
  const found = arena.find(slot.key)
  return found === undefined || (!isSameWord(found.slot, slot) && found.cell.meta.version < version)
}

function requeue(w: World, key: string): void {
  if (w.arena.find(key)?.cell.isDirty === true) w.queue.add(key)
}

function forgetDirty(arena: Arena, key: string): void {
  const cell = arena.find(key)?.cell
  if (cell !== undefined) cell.isDirty = false
}

function* restart(w: World): Steps {
  const { log, index } = w.disk
  const end = log.end()
  index.commit((state) => foldLog(w, state, end))
  yield 'log replayed'
  index.sync()
  yield 'index synced'
  for (const [name, clock] of index.state.epochs) w.arena.epochs.set(name, clock)
  yield 'epochs loaded'
}
