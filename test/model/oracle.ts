/**
 * What may be read. For each key the oracle keeps every truth that the answers so far allow: the state the key is in,
 * the operations still running that already took effect, and the states a power cut may bring back. An answer that no
 * truth allows breaks a rule. This is linearizability per key, with crashes: a kill ends what runs, a power cut also
 * rolls back, but never past a synced state, and a `none` value may vanish but uncovers nothing.
 * It knows nothing of the store but operations, answers, crashes and the clock.
 */

import type { Violation } from './rules.ts'
import {
  CEILING_AHEAD_MS,
  type CrashKind,
  type Key,
  type Operation,
  REMOTE_PREFIX,
  type Reply,
  TORN,
  type Value,
} from './subject.ts'
import type { Observed } from './truth.ts'
import { describe, type KeyHistory, newHistory, Truths } from './truths.ts'

export class Oracle {
  readonly #keys: readonly Key[]
  readonly #truths = new Truths()
  readonly #histories = new Map<Key, KeyHistory>()
  readonly #running = new Map<number, Observed>()
  /** Who wrote a value; values are unique. */
  readonly #writers = new Map<Value, Observed>()
  readonly #groups: Observed[] = []
  readonly #versions = new Map<Key, number>()
  #wallMs = 0

  constructor(keys: readonly Key[]) {
    this.#keys = keys
    for (const key of keys) this.#histories.set(key, newHistory(key))
  }

  invoke(id: number, operation: Operation): void {
    const truths = this.#truths
    if (operation.kind === 'advance') {
      this.#wallMs += operation.ms
      truths.leastMs = Math.max(truths.leastMs, this.#wallMs)
      truths.mostMs = Math.max(truths.mostMs, this.#wallMs)
    }
    const observed: Observed = {
      id,
      operation,
      beganAt: truths.nextMoment(),
      orderAtBegin: truths.orders,
      versionsAtBegin: new Map(this.#versions),
      leastMs: truths.leastMs,
      endedAt: undefined,
      endedMostMs: Number.POSITIVE_INFINITY,
      states: new Map(),
    }
    this.#running.set(id, observed)
    for (const key of this.#keysOf(operation)) truths.begin(this.#history(key), observed)
    for (const value of valuesOf(operation)) this.#writers.set(value, observed)
    if (operation.kind === 'setMany') this.#groups.push(observed)
  }

  respond(id: number, reply: Reply): Violation | undefined {
    const observed = this.#running.get(id)
    if (observed === undefined) throw new Error(`no operation ${id} is running`)
    const { operation } = observed
    this.#running.delete(id)
    const truths = this.#truths
    truths.end(observed)
    if (operation.kind === 'lease') truths.grant(operation, observed.beganAt)
    for (const [at, key] of this.#keysOf(operation).entries()) {
      const history = this.#history(key)
      const part: Reply = reply.kind === 'values' ? { kind: 'value', value: reply.values[at] } : reply
      const value = part.kind === 'value' ? part.value : undefined
      const rule = truths.settle(history, observed, part, this.#writer(value, key))
      if (rule !== undefined) return { rule, detail: `${key}: ${describe(history)}` }
    }
    if (operation.kind === 'flush') truths.flushed(this.#histories.values(), observed)
    if (reply.kind === 'version') return this.#checkVersion(observed, reply.version)
    if (reply.kind === 'values') return this.#checkGroupRead(operation, reply.values)
    return undefined
  }

  crash(kind: CrashKind): void {
    const truths = this.#truths
    for (const observed of this.#running.values()) truths.end(observed)
    truths.crash(this.#histories.values(), kind)
    this.#running.clear()
    if (kind === 'power') truths.mostMs += CEILING_AHEAD_MS
  }

  /** Called after a recovery, when every key was read once: groups are there or not, as a whole. */
  surveyed(): Violation | undefined {
    for (const { id, operation } of this.#groups) {
      const histories = this.#keysOf(operation).map((key) => this.#history(key))
      const held = histories.find(({ truths }) => truths.every(({ current }) => current.state.group === id))
      const lost = histories.find(({ truths }) => truths.every((truth) => truth.lost.includes(id)))
      if (held === undefined || lost === undefined) continue
      return { rule: 'half-group-recovered', detail: `#${id}: ${held.key} is there, ${lost.key} is not` }
    }
    for (const history of this.#histories.values()) {
      history.truths = history.truths.map((truth) => ({ ...truth, lost: [] }))
    }
    return undefined
  }

  #checkVersion(observed: Observed, version: number): Violation | undefined {
    for (const key of this.#keysOf(observed.operation)) {
      const before = observed.versionsAtBegin.get(key) ?? 0
      if (version <= before) {
        return { rule: 'version-order', detail: `${key}: ${version} after ${before} was acknowledged` }
      }
      this.#versions.set(key, Math.max(version, this.#versions.get(key) ?? 0))
    }
    return undefined
  }

  #checkGroupRead(operation: Operation, values: readonly (Value | undefined)[]): Violation | undefined {
    const read = values.map((value) => (value === undefined ? undefined : this.#writers.get(value)))
    const keys = this.#keysOf(operation)
    for (const group of read) {
      if (group?.operation.kind !== 'setMany') continue
      const members = group.operation.keys
      const old = read.findIndex((writer, at) => {
        const isMember = members.includes(keys[at] ?? '')
        return isMember && writer?.endedAt !== undefined && writer.endedAt < group.beganAt
      })
      if (old >= 0) return { rule: 'half-group-read', detail: `#${group.id} is new, ${keys[old]} is older` }
    }
    return undefined
  }

  #keysOf(operation: Operation): readonly Key[] {
    if ('keys' in operation) return operation.keys
    if ('key' in operation) return [operation.key]
    const isForAll = operation.kind === 'clear' || operation.kind === 'invalidateTag'
    return isForAll ? this.#keys.filter((key) => !key.startsWith(REMOTE_PREFIX)) : []
  }

  #history(key: Key): KeyHistory {
    const history = this.#histories.get(key)
    if (history === undefined) throw new Error(`the oracle was not told of key ${key}`)
    return history
  }

  /** Who wrote this value to this key. */
  #writer(value: Value | undefined, key: Key): Operation | undefined {
    const writer = value === undefined ? undefined : this.#writers.get(value)?.operation
    if (writer?.kind === 'setMany')
      return writer.keys[writer.values.indexOf(value ?? TORN)] === key ? writer : undefined
    return writer !== undefined && 'key' in writer && writer.key === key ? writer : undefined
  }
}

const valuesOf = (operation: Operation): readonly Value[] => {
  if ('values' in operation) return operation.values
  return 'value' in operation ? [operation.value] : []
}
