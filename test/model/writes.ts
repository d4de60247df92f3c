/**
 * Writes: every change is a new record, published under the lock of its bucket with a version taken inside the lock,
 * and acknowledged when its durability allows. A delete is a record too. Conditions are resolved first, then applied
 * under the move token.
 */
import type { Found, Group, Meta } from './arena.ts'
import { filterCellOf } from './arena.ts'
import { logKeys } from './log-writer.ts'
import { readCold, readRam } from './reads.ts'
import { announce, publish, writeRecord } from './records.ts'
import type { Draft, Durability, Key, Operation, Steps, Value } from './subject.ts'
import { EPOCH_PREFIX, NAMESPACE, type World } from './world.ts'

type Plan = Omit<Meta, 'version'> & { readonly value: Value; readonly version: number | undefined }

/** Publishes the planned record and acknowledges it. The caller holds the locks; they are released here. */
function* commit(w: World, buckets: Map<Key, number>, plan: Plan): Steps<number> {
  const { value, ...rest } = plan
  const { key, durability } = plan
  const bucket = buckets.get(key) ?? 0
  const version = plan.version ?? w.tick()
  yield `version ${version}`
  const meta: Meta = { ...rest, version, born: plan.born === 0 ? version : plan.born }
  const isCoverOwed = durability === 'none' && owesCover(w, key, w.arena.find(key, bucket))
  const slot = yield* writeRecord(w, meta, value, { isDirty: true, isCoverOwed })
  w.processExpiry.delete(key)
  yield* publish(w, bucket, slot)
  yield* announce(w, key)
  w.unlockKeys(buckets)
  if (isCoverOwed) yield* logKeys(w, [key], { sync: !w.is('noneCoverNotSynced'), spill: false })
  if (durability === 'sync') yield* logSync(w, [key])
  return version
}

function* logSync(w: World, names: readonly string[]): Steps {
  yield* logKeys(w, names, { sync: !w.is('syncAcknowledgedAtWrite'), spill: false })
}

/** Whether something below could come back if this `none` value vanished. */
function owesCover(w: World, key: Key, replaced: Found | undefined): boolean {
  if (w.is('noneWithoutDurableDelete')) return false
  if (replaced === undefined) return !w.arena.isFilterReady || w.arena.filter.has(filterCellOf(key))
  if (replaced.cell.meta.durability !== 'none') return true
  return replaced.cell.isCoverOwed && !w.is('noneOverNoneForgetsOwedCover')
}

export function* set(w: World, draft: Draft): Steps<number> {
  const early = w.is('clockOutsideLock') ? w.tick() : undefined
  if (early !== undefined) yield 'clock taken outside the lock'
  const buckets = yield* w.lockKeys([draft.key])
  return yield* commit(w, buckets, { ...planOf(w, draft), version: early })
}

export function* remove(w: World, key: Key, durability: Durability): Steps<number> {
  const buckets = yield* w.lockKeys([key])
  const isTombstoneKept = !w.is('deleteClearsSlotWithoutTombstone') && !w.is('deleteOutsideArena')
  if (!isTombstoneKept) {
    const version = w.tick()
    if (w.is('deleteOutsideArena')) w.processDeletes.set(key, version)
    w.arena.unpublish(buckets.get(key) ?? 0, key)
    yield 'slot cleared'
    yield* announce(w, key)
    w.unlockKeys(buckets)
    if (durability === 'sync') yield* logSync(w, [key])
    return version
  }
  return yield* commit(w, buckets, tombstoneOf(key, durability))
}

/** What conditions are judged on: the live entry of whichever tier has it, with the locks held. */
interface Resolved {
  readonly buckets: Map<Key, number>
  readonly meta: Omit<Meta, 'version'> | undefined
  readonly value: Value
}

function* resolve(w: World, key: Key): Steps<Resolved> {
  for (;;) {
    const token = w.arena.tokenOf(key)
    yield 'token taken'
    const ram = yield* readRam(w, key)
    const isColdRead = ram === undefined && !w.is('addTrustsRamMiss')
    const cold = isColdRead ? yield* readCold(w, key) : undefined
    const buckets = yield* w.lockKeys([key])
    if (token !== w.arena.tokenOf(key) && !w.is('conditionWithoutToken')) {
      w.unlockKeys(buckets)
      continue
    }
    if (ram !== undefined)
      return { buckets, meta: w.isAlive(ram.meta) ? ram.meta : undefined, value: ram.value }
    if (cold === undefined || !w.isAliveBelow(cold)) return { buckets, meta: undefined, value: 0 }
    const durability = cold.arena === undefined ? 'async' : 'none'
    return { buckets, meta: { ...cold, durability, isTombstone: false, group: undefined }, value: cold.value }
  }
}

export function* add(w: World, draft: Draft): Steps<boolean> {
  const { buckets, meta } = yield* resolve(w, draft.key)
  if (meta === undefined) yield* commit(w, buckets, planOf(w, draft))
  else w.unlockKeys(buckets)
  return meta === undefined
}

/** A new record with the old value; it keeps the clock the value was born with, so that epochs still reach it. */
export function* touch(w: World, key: Key, ttlMs: number): Steps<boolean> {
  const { buckets, meta, value } = yield* resolve(w, key)
  if (meta === undefined) {
    w.unlockKeys(buckets)
    return false
  }
  const expiresAtMs = w.nowMs() + ttlMs
  if (w.is('touchOutsideArena')) {
    w.processExpiry.set(key, expiresAtMs)
    w.unlockKeys(buckets)
    return true
  }
  const born = w.is('touchRenewsBirth') ? 0 : meta.born
  const { tags, durability, group } = meta
  const plan = {
    key,
    value,
    version: undefined,
    born,
    expiresAtMs,
    tags,
    durability,
    isTombstone: false,
    group,
  }
  yield* commit(w, buckets, plan)
  return true
}

/** All members are written, the group is marked complete, then its members are published. */
export function* setMany(w: World, operation: Operation & { kind: 'setMany' }): Steps<number> {
  const { keys, values, durability } = operation
  const buckets = yield* w.lockKeys(keys)
  const version = w.tick()
  yield `version ${version}`
  const group: Group = { id: version, members: [], isComplete: false }
  w.arena.groups.push(group)
  for (const [at, key] of keys.entries()) {
    const draft = { key, value: values[at] ?? 0, ttlMs: undefined, tags: [], durability }
    const { value, ...rest } = planOf(w, draft)
    const state = { isDirty: true, isCoverOwed: false }
    const slot = yield* writeRecord(w, { ...rest, version, born: version, group }, value, state)
    group.members.push({ key, slot })
  }
  group.isComplete = !w.is('groupPublishedUnmarked')
  yield 'group marked complete'
  yield* w.lock('group')
  w.arena.groupSequence++
  yield 'group sequence odd'
  for (const { key, slot } of group.members) yield* publish(w, buckets.get(key) ?? 0, slot)
  w.arena.groupSequence++
  w.arena.groups.splice(w.arena.groups.indexOf(group), 1)
  w.unlock(['group'])
  yield 'group sequence even'
  for (const key of keys) yield* announce(w, key)
  w.unlockKeys(buckets)
  if (durability === 'sync') yield* logSync(w, keys)
  return version
}

/**
 * Everything born up to now is dead, in the whole namespace or with one tag. The change counter is odd from before the
 * epoch of a namespace is stored until after, so that no near cache answers while other readers see the epoch.
 */
export function* invalidate(w: World, name: string, durability: Durability): Steps {
  const isClear = name === NAMESPACE
  yield* w.lock('epochs')
  if (isClear && !w.is('changeCounterBumpedAfterEpoch')) {
    w.arena.changeCounter++
    yield 'change counter odd'
  }
  const clock = w.tick()
  yield `epoch ${clock}`
  const isOutside = w.is(isClear ? 'clearEpochOutsideArena' : 'tagEpochOutsideArena')
  const epochs = isOutside ? w.processEpochs : w.arena.epochs
  epochs.set(name, clock)
  yield 'epoch stored'
  if (isClear) w.arena.changeCounter += w.is('changeCounterBumpedAfterEpoch') ? 2 : 1
  w.queue.add(EPOCH_PREFIX + name)
  w.unlock(['epochs'])
  yield 'change counter even'
  if (durability === 'sync') yield* logSync(w, [EPOCH_PREFIX + name])
}

export function* lease(w: World, id: number, key: Key): Steps {
  w.leases.set(id, { clock: w.tick(), token: w.arena.tokenOf(key) })
  yield 'lease granted'
}

/** Publishes with the lease's clock, so that whatever came after the lease is newer, epochs not yet stored included. */
export function* fill(w: World, id: number, draft: Draft): Steps<boolean> {
  const { key } = draft
  const buckets = yield* w.lockKeys([key])
  const held = w.leases.get(id)
  w.leases.delete(id)
  const found = w.arena.find(key, buckets.get(key) ?? 0)
  const isKeyChanged =
    held !== undefined &&
    (found === undefined ? held.token !== w.arena.tokenOf(key) : found.cell.meta.version >= held.clock)
  const isBehindEpoch = held !== undefined && w.isBehindEpoch(held.clock, draft.tags)
  const isKeyIgnored = w.is('fillIgnoresLeaseClock') || w.is('fillIgnoresKeyChange')
  const isEpochIgnored = w.is('fillIgnoresLeaseClock') || w.is('fillIgnoresEpochs')
  const isClockNewer = isKeyIgnored || isEpochIgnored || w.is('fillTakesNewerClock')
  if (held === undefined || (isKeyChanged && !isKeyIgnored) || (isBehindEpoch && !isEpochIgnored)) {
    w.unlockKeys(buckets)
    return false
  }
  yield 'fill admitted'
  const clock = isClockNewer ? w.tick() : held.clock
  yield* commit(w, buckets, { ...planOf(w, draft), version: clock, born: clock })
  return true
}

const planOf = (w: World, { key, value, ttlMs, tags, durability }: Draft): Plan => {
  const expiresAtMs = ttlMs === undefined ? Number.POSITIVE_INFINITY : w.nowMs() + ttlMs
  const group = undefined
  return { key, value, version: undefined, born: 0, expiresAtMs, tags, durability, isTombstone: false, group }
}

const tombstoneOf = (key: Key, durability: Durability): Plan => ({
  key,
  value: 0,
  version: undefined,
  born: 0,
  expiresAtMs: Number.POSITIVE_INFINITY,
  tags: [],
  durability,
  isTombstone: true,
  group: undefined,
})
