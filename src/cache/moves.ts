/**
 * Entries that an operator moves: pinned into RAM and let go, brought up to RAM, taken out of it. The same words in the
 * process that owns the store and over its socket (`RC.PIN`, `RC.TIER`).
 *
 * Of a blob its manifest is moved; its chunks come and go by themselves.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { RamcacheError } from '../base/errors.ts'
import { listOf, textOf } from '../client/commands.ts'
import { RemoteStore } from '../client/remote-store.ts'
import { binding, type NativeHandle } from '../native/binding.ts'
import type { Engine, Key } from '../native/engine.ts'
import { decide } from './decide.ts'
import { engineOf } from './internal.ts'
import type { ReadonlyCache } from './types.ts'

export type Move = 'pin' | 'unpin' | 'promote' | 'demote'

/** `already`: it was as it is to be. `pinned`: it stays in RAM for that. `unfit`: RAM has no place for it. */
export const moveOutcomes = ['moved', 'already', 'absent', 'pinned', 'unfit'] as const
export type MoveOutcome = (typeof moveOutcomes)[number]

/** Times that an entry is waited for whose neighbours are written all the time. */
const attemptsMost = 1000

/** Moves an entry, from whatever tier it is in. Rejects with ERR_RAMCACHE_CONFIG when there is nothing below RAM to go to. */
export async function moveKey(engine: Engine, namespace: string, key: Key, move: Move): Promise<MoveOutcome> {
  const space = engine.space(namespace)
  if (move === 'pin' || move === 'unpin') {
    const isThere = await decide(space, key, () => space.pin(key, move === 'pin'))
    return isThere ? 'moved' : 'absent'
  }
  for (let attempt = 0; attempt < attemptsMost; attempt++) {
    const entry = await space.look(key)
    if (entry === undefined) return 'absent'
    if (move === 'promote') {
      if (entry.tier === 'ram') return attempt === 0 ? 'already' : 'moved'
      if (attempt > 1) return 'unfit'
      await space.resolve(key)
      // A use: what was brought up on purpose is not the first to leave.
      space.has(key)
      continue
    }
    if (entry.tier !== 'ram') return 'already'
    const outcome = space.demote(key)
    if (outcome === 'moved' || outcome === 'pinned') return outcome
    // Not on disk yet, and then it would be nowhere.
    await engine.flush()
  }
  const message = 'it is in memory that is written all the time, and cannot leave it now'
  throw new RamcacheError('ERR_RAMCACHE_UNAVAILABLE', message)
}

/** Moves entries of a namespace of a cache that `open` or `connect` returned, one after the other: what became of each. */
export async function moveKeys(
  cache: ReadonlyCache,
  namespace: string,
  keys: readonly string[],
  move: Move,
): Promise<MoveOutcome[]> {
  const engine = engineOf(cache)
  if (engine instanceof RemoteStore) {
    const [name, ...words] = wordsOf(move)
    const reply = await engine.cold.request(name, [namespace, ...words, ...keys], false)
    return listOf(reply, name).map((outcome) => textOf(outcome, name) as MoveOutcome)
  }
  const outcomes: MoveOutcome[] = []
  for (const key of keys) outcomes.push(await moveKey(engine as Engine, namespace, key, move))
  return outcomes
}

function wordsOf(move: Move): [string, string] {
  if (move === 'pin' || move === 'unpin') return ['RC.PIN', move === 'pin' ? 'ON' : 'OFF']
  return ['RC.TIER', move === 'promote' ? 'ram' : 'ssd']
}

/** Resolves when what was in RAM at the end of the last run is there again: until then the list of it stays as it was. */
export async function whenWarm(cache: ReadonlyCache): Promise<void> {
  const engine = engineOf(cache)
  if (engine instanceof RemoteStore) return
  const { native } = engine as Engine & { readonly native: NativeHandle }
  while (binding().isWarming(native)) await pause(1)
}
