/** The closed list of ways an answer can be wrong, and which of them a wrong read is. */
import type { Operation, Value } from './subject.ts'
import { expiresLeastMs, type State } from './truth.ts'

export const RULES = {
  'never-written': 'a read returned what nobody ever wrote to the key',
  'deleted-returned': 'an acknowledged delete is undone',
  'cleared-returned': 'an acknowledged clear of the namespace is undone',
  'tagged-returned': 'an acknowledged invalidation of a tag is undone',
  'expired-returned': 'a value is read after its time',
  'expiry-uncovers': 'a value that expired uncovers an older one',
  'none-uncovers': 'a vanished `none` value uncovers an older one',
  'stale-returned': 'a newer value is acknowledged, or was read before',
  'stale-fill':
    'a fill is admitted, or stays, though the key, a tag or the namespace changed since its lease',
  'false-miss': 'a live value is not found, without any crash',
  'wrong-condition': 'a conditional write did not see the live value',
  'lost-after-kill': 'an acknowledged write is gone after a kill',
  'lost-after-power': 'a synced write is gone after a power cut',
  'rolled-back': 'a key is older after a power cut than at its last sync',
  'version-order': 'a later write has a smaller version than one acknowledged before it',
  'half-group-read': 'getMany saw one member of a group new and another old',
  'half-group-recovered': 'a group is recovered in part',
  stuck: 'every task waits, or a schedule does not end',
  structure: 'the store at rest is malformed',
} as const

export type Rule = keyof typeof RULES

export interface Violation {
  readonly rule: Rule
  readonly detail: string
}

export interface Times {
  /** The time is at most this. */
  readonly mostMs: number
  readonly killAt: number
  readonly powerAt: number
}

/**
 * Names the rule that a read broke, by what the key may hold instead. `seen` is the value, undefined for a miss, 'any' when only its presence is known;
 * `writer` is who wrote that value to that key.
 */
export function ruleOfRead(
  states: readonly State[],
  seen: Value | undefined | 'any',
  writer: Operation | undefined,
  { mostMs, killAt, powerAt }: Times,
): Rule {
  const knownAt = Math.max(...states.map((state) => Math.max(state.seenAt, state.origin?.beganAt ?? 0)))
  if (seen === undefined) {
    if (powerAt > knownAt) return 'lost-after-power'
    return killAt > knownAt ? 'lost-after-kill' : 'false-miss'
  }
  if (seen !== 'any' && writer === undefined) return 'never-written'
  const isSame = ({ value }: State) => value !== undefined && (seen === 'any' || seen === value)
  if (states.some(isSame)) return 'expired-returned'
  if (writer?.kind === 'fill') return 'stale-fill'
  const causes = new Set(states.map((state) => state.cause))
  if (causes.has('none lost')) return 'none-uncovers'
  if (states.some((state) => state.value !== undefined && expiresLeastMs(state) <= mostMs))
    return 'expiry-uncovers'
  if (causes.has('delete')) return 'deleted-returned'
  if (causes.has('clear')) return 'cleared-returned'
  if (causes.has('tag')) return 'tagged-returned'
  return powerAt > knownAt ? 'rolled-back' : 'stale-returned'
}
