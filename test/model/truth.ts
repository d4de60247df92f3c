/**
 * One possible truth about a key: the state it is in, the running operations that already took effect, and the states
 * a power cut may bring back. Everything here makes a new truth from an old one; nothing is changed in place but what
 * becomes known of a state later.
 */
import type { Durability, Operation, Value } from './subject.ts'

export type Cause = 'initial' | 'write' | 'delete' | 'clear' | 'tag' | 'none lost'

/** An operation the oracle has seen begin. */
export interface Observed {
  readonly id: number
  readonly operation: Operation
  readonly beganAt: number
  /** Order counter and newest acknowledged versions at the beginning. */
  readonly orderAtBegin: number
  readonly versionsAtBegin: ReadonlyMap<string, number>
  /** The time was at least this when it began. */
  readonly leastMs: number
  /** When it was acknowledged, or cut by a crash; undefined while it runs. */
  endedAt: number | undefined
  /** States it made, so that the same one is not made twice. */
  readonly states: Map<string, State>
}

/** What a key holds after an operation took effect. */
export interface State {
  readonly id: number
  readonly origin: Observed | undefined
  readonly value: Value | undefined
  readonly cause: Cause
  readonly durability: Durability
  readonly tags: readonly string[]
  /** Id of the `setMany` whose value this is. */
  readonly group: number | undefined
  /** The expiry lies between these two; the upper one is known when the operation has ended. */
  readonly expiresLeastMs: number
  expiresMostMs: number
  /** When a read last returned it. */
  seenAt: number
}

/** When a state took effect; a span where several truths were joined. */
export interface Ordered {
  readonly state: State
  readonly earliest: number
  readonly latest: number
}

/** A running operation that took effect, and when. */
interface Done {
  readonly observed: Observed
  readonly order: number
}

/** The states a key was in since the operation began; what a reader may answer, or a condition may have met. */
interface Seen {
  readonly by: Observed
  readonly states: readonly State[]
}

export interface Truth {
  readonly current: Ordered
  /** States a power cut may bring back. */
  readonly older: readonly Ordered[]
  readonly done: readonly Done[]
  readonly seen: readonly Seen[]
  /** Leases that may no longer fill. */
  readonly broken: readonly number[]
  /** Groups that a crash undid for this key. */
  readonly lost: readonly number[]
}

export const INITIAL: State = {
  id: 0,
  origin: undefined,
  value: undefined,
  cause: 'initial',
  durability: 'sync',
  tags: [],
  group: undefined,
  expiresLeastMs: Number.POSITIVE_INFINITY,
  expiresMostMs: Number.POSITIVE_INFINITY,
  seenAt: 0,
}

export const FIRST: Truth = {
  current: { state: INITIAL, earliest: 0, latest: 0 },
  older: [],
  done: [],
  seen: [],
  broken: [],
  lost: [],
}

export type Made = Omit<State, 'id' | 'origin' | 'expiresMostMs' | 'seenAt'>

let states = 0

/** The state that this operation makes under this name; truths that agree on it share it. */
export function stateOnce(origin: Observed, name: string, made: Made): State {
  let state = origin.states.get(name)
  if (state === undefined) {
    state = { ...made, id: ++states, origin, expiresMostMs: Number.POSITIVE_INFINITY, seenAt: 0 }
    origin.states.set(name, state)
  }
  return state
}

export const absent = (origin: Observed, cause: Cause): State =>
  stateOnce(origin, cause, { ...INITIAL, durability: 'async', cause })

/** A state under an invalidation: should a power cut roll the key back to it, it may be dead. */
export const deadOf = (invalidation: Observed, { id }: State): State =>
  stateOnce(invalidation, `dead ${id}`, { ...INITIAL, durability: 'async', cause: 'tag' })

export const invalidates = (operation: Operation, { value, tags }: State): boolean =>
  value !== undefined &&
  (operation.kind === 'clear' || (operation.kind === 'invalidateTag' && tags.includes(operation.tag)))

export function become(truth: Truth, state: State, order: number): Truth {
  const seen = truth.seen.map(({ by, states }) => ({ by, states: [...states, state] }))
  return {
    ...truth,
    current: { state, earliest: order, latest: order },
    older: [...truth.older, truth.current],
    seen,
  }
}

export const isDone = (truth: Truth, observed: Observed): boolean =>
  truth.done.some((done) => done.observed === observed)

export const markDone = (truth: Truth, observed: Observed, order: number): Truth => ({
  ...truth,
  done: [...truth.done, { observed, order }].sort((a, b) => a.observed.id - b.observed.id),
})

/** What an invalidation means for values that are not the current one: rolled back to, or still being read. */
export function shadow(truth: Truth, invalidation: Observed): Truth {
  const { operation } = invalidation
  const dying = truth.older.filter(({ state }) => invalidates(operation, state))
  const dead = dying.map((ordered) => ({ ...ordered, state: deadOf(invalidation, ordered.state) }))
  const seen = truth.seen.map(({ by, states }) => {
    // A reader may judge what it found with the epochs of its end: a value seen before may be a miss to it.
    const isDying = states.some((state) => invalidates(operation, state))
    return { by, states: isDying ? [...states, INITIAL] : states }
  })
  return { ...truth, older: [...truth.older, ...dead], seen }
}

/** The operation has ended as this truth says: what its acknowledgement promises, and no more of it. */
export function conclude(truth: Truth, observed: Observed): Truth {
  const order = truth.done.find((done) => done.observed === observed)?.order ?? 0
  return {
    ...promise(truth, observed, order),
    done: truth.done.filter((done) => done.observed !== observed),
    seen: truth.seen.filter(({ by }) => by !== observed),
  }
}

/** An acknowledged `sync` change is durable; so is the durable delete below an acknowledged `none` value. */
function promise(truth: Truth, observed: Observed, order: number): Truth {
  const { operation } = observed
  const isSynced =
    'durability' in operation ? operation.durability === 'sync' : operation.kind === 'remotePut'
  if (operation.kind === 'invalidateTag') {
    const isGone = ({ state, latest }: Ordered) => latest <= order && invalidates(operation, state)
    return isSynced ? { ...truth, older: truth.older.filter((ordered) => !isGone(ordered)) } : truth
  }
  return floorAt(truth, ({ state }) => state.origin === observed && (isSynced || state.durability === 'none'))
}

/** The newest of these states can no longer be rolled back; what is surely older is forgotten. */
export function floorAt(truth: Truth, isSynced: (ordered: Ordered) => boolean): Truth {
  let floor = isSynced(truth.current) ? truth.current.earliest : -1
  for (const ordered of truth.older) if (isSynced(ordered)) floor = Math.max(floor, ordered.earliest)
  if (floor < 0 || truth.older.length === 0) return truth
  return { ...truth, older: truth.older.filter(({ latest }) => latest >= floor) }
}

/** What a power cut may leave of one truth. */
export function rollBacks(truth: Truth): Truth[] {
  const all = [truth.current, ...truth.older]
  return all.flatMap((kept) => {
    const undone = all.filter(
      ({ state, earliest }) => earliest > kept.latest && state.group !== kept.state.group,
    )
    const lost = [...truth.lost, ...undone.flatMap(({ state }) => state.group ?? [])]
    const after: Truth = { ...truth, current: kept, older: [], lost }
    const { origin, durability, value } = kept.state
    if (durability !== 'none' || value === undefined || origin === undefined) return [after]
    const gone = stateOnce(origin, `gone ${value}`, { ...INITIAL, cause: 'none lost' })
    return [after, { ...after, current: { ...kept, state: gone } }]
  })
}

/** Truths that differ only in what lies behind them are joined; each state keeps the span of its orders. */
export function merge(into: Map<string, Truth>, truth: Truth): void {
  const identity = identityOf(truth)
  const other = into.get(identity)
  if (other === undefined) {
    into.set(identity, truth)
    return
  }
  const older = new Map<State, Ordered>()
  for (const ordered of [...other.older, ...truth.older]) {
    older.set(ordered.state, span(older.get(ordered.state) ?? ordered, ordered))
  }
  const seen = other.seen.map(({ by, states }) => {
    const more = truth.seen.find((same) => same.by === by)?.states ?? []
    return { by, states: [...new Set([...states, ...more])] }
  })
  into.set(identity, {
    ...other,
    current: span(other.current, truth.current),
    older: [...older.values()],
    seen,
  })
}

function identityOf({ current, older, done, broken, lost }: Truth): string {
  let identity = `${current.state.id}`
  for (const { observed } of done) identity += ` ${observed.id}`
  if (broken.length > 0 || lost.length > 0) identity += `|${broken}|${lost}`
  // Which states a power cut undoes together with a group is known only while their order is.
  if (older.some(({ state }) => state.group !== undefined))
    identity += `|${older.map(({ state }) => state.id)}`
  return identity
}

const span = (a: Ordered, b: Ordered): Ordered => ({
  state: a.state,
  earliest: Math.min(a.earliest, b.earliest),
  latest: Math.max(a.latest, b.latest),
})
