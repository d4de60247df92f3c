/** Writing one record into the arena: reserve, fill word by word, and the single store that makes it reachable. */
import type { Meta, Slot } from './arena.ts'
import type { Steps, Value } from './subject.ts'
import type { World } from './world.ts'

export interface RecordState {
  readonly isDirty: boolean
  readonly isCoverOwed: boolean
}

/** Reserves room and writes the record there; nobody can reach it yet. */
export function* writeRecord(w: World, meta: Meta, value: Value, state: RecordState): Steps<Slot> {
  const slot = w.arena.reserve(meta.key)
  const cells = w.arena.segment(slot.segment).cells
  const high = cells[slot.offset]?.high ?? 0
  const cell = { meta, low: value, high, ...state }
  cells[slot.offset] = cell
  yield 'record half written'
  cell.high = value
  yield 'record written'
  return slot
}

/** The release store of the slot. The caller holds the lock of the bucket. */
export function* publish(w: World, bucket: number, slot: Slot): Steps {
  w.arena.publish(bucket, slot)
  w.arena.release(slot)
  yield `slot of ${slot.key} stored: ${slot.segment}.${slot.offset}`
}

/** What every committed change does after its slot is stored: no move that began before it may still publish. */
export function* announce(w: World, key: string): Steps {
  w.arena.bump(key)
  yield 'token bumped'
  w.queue.add(key)
  yield 'queued for the log'
}
