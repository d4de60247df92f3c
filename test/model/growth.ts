/** Structures that are replaced under readers who hold no lock: the split of a bucket, the rebuild of the filter. */
import { FILTER_CELLS, filterCellOf } from './arena.ts'
import type { Steps } from './subject.ts'
import type { World } from './world.ts'

/** Copy to the new bucket, bump the split version, clear the old one; no write to the pair in between. */
export function* split(w: World): Steps {
  const pair = w.arena.nextSplit()
  if (pair === undefined) return
  const names = [`bucket ${pair.from}`, `bucket ${pair.to}`]
  if (!w.is('splitWithoutLocks')) for (const name of names) yield* w.lock(name)
  const isCurrent = w.arena.nextSplit()?.to === pair.to
  if (isCurrent) yield* splitPair(w, pair.from, pair.to)
  if (!w.is('splitWithoutLocks')) w.unlock(names)
}

function* splitPair(w: World, from: number, to: number): Steps {
  const slots = w.arena.buckets[from] ?? []
  w.arena.buckets[to] ??= []
  const target = w.arena.buckets[to]
  const moving = slots.filter((slot) => slot !== undefined && w.arena.bucketOf(slot.key, to + 1) === to)
  for (const slot of moving) {
    target.push(slot)
    yield 'slot copied'
  }
  w.arena.bucketCount = to + 1
  yield 'split version bumped'
  for (const slot of moving) {
    if (slot !== undefined) w.arena.unpublish(from, slot.key)
    yield 'old slot cleared'
  }
}

/** Loads the filter after a start and renews it later: a second copy, range by range, that receives every add. */
export function* rebuildFilter(w: World): Steps {
  yield* w.lock('filter')
  const next = new Set<number>()
  // A checkpoint between its filter add and its commit is in neither copy nor tier: the copy begins between two of them.
  if (!w.is('filterRebuildBeginsInsideMove')) yield* w.lock('index')
  w.arena.filterNext = next
  yield 'second copy begun'
  if (!w.is('filterRebuildBeginsInsideMove')) w.unlock(['index'])
  for (let cell = 0; cell < FILTER_CELLS; cell++) {
    if ([...w.disk.index.state.rows.keys()].some((key) => filterCellOf(key) === cell)) next.add(cell)
    yield 'index range scanned'
    if ([...w.disk.hdd.state.keys()].some((key) => filterCellOf(key) === cell)) next.add(cell)
    yield 'hdd range scanned'
  }
  w.arena.filter = next
  w.arena.filterNext = undefined
  w.arena.isFilterReady = true
  yield 'copies swapped'
  w.unlock(['filter'])
}
