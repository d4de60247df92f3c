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
  /** The time was at most this when it ended. */
  endedMostMs: number
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
  /** From some moment while its origin ran; infinite for most. */
  readonly ttlMs: number
  /** When a read last returned it. */
  seenAt: number
}

/** A state with its place in the order of all states; the latest one where several truths were joined. */
export interface Placed {
  readonly state: State
  readonly order: number
  /** States that took effect after it, in every truth joined here that has it. */
  readonly newer: readonly State[]
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
  readonly current: Placed
  /** States a power cut may bring back. */
  readonly older: readonly Placed[]
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
  ttlMs: Number.POSITIVE_INFINITY,
  seenAt: 0,
}

export const FIRST: Truth = {
  current: { state: INITIAL, order: 0, newer: [] },
  older: [],
  done: [],
  seen: [],
  broken: [],
  lost: [],
}

type Made = Omit<State, 'id' | 'origin' | 'seenAt'>

let states = 0

/** The state that this operation makes under this name; truths that agree on it share it. */
export function stateOnce(origin: Observed, name: string, made: Made): State {
  let state = origin.states.get(name)
  if (state === undefined) {
    state = { ...made, id: ++states, origin, seenAt: 0 }
    origin.states.set(name, state)
  }
  return state
}

/** The first moment the state may be expired, and the first it must be. */
export const expiresLeastMs = ({ origin, ttlMs }: State): number => (origin?.leastMs ?? 0) + ttlMs
export const expiresMostMs = ({ origin, ttlMs }: State): number => (origin?.endedMostMs ?? 0) + ttlMs

export const absent = (origin: Observed, cause: Cause): State =>
  stateOnce(origin, cause, { ...INITIAL, durability: 'async', cause })

/** A state under an invalidation: should a power cut roll the key back to it, it may be dead. */
export function deadOf(invalidation: Observed, { id }: State): State {
  const cause = invalidation.operation.kind === 'clear' ? 'clear' : 'tag'
  return stateOnce(invalidation, `dead ${id}`, { ...INITIAL, durability: 'async', cause })
}

export const invalidates = (operation: Operation, { value, tags }: State): boolean =>
  value !== undefined &&
  (operation.kind === 'clear' || (operation.kind === 'invalidateTag' && tags.includes(operation.tag)))

export function become(truth: Truth, state: State, order: number): Truth {
  const older = [...truth.older, truth.current].map((placed) => ({
    ...placed,
    newer: [...placed.newer, state],
  }))
  const seen = truth.seen.map(({ by, states }) => ({ by, states: [...states, state] }))
  return { ...truth, current: { state, order, newer: [] }, older, seen }
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
  const dead = dying.map((placed) => ({ ...placed, state: deadOf(invalidation, placed.state) }))
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
    const isGone = (placed: Placed) => placed.order <= order && invalidates(operation, placed.state)
    return isSynced ? { ...truth, older: truth.older.filter((placed) => !isGone(placed)) } : truth
  }
  return floorAt(truth, ({ state }) => state.origin === observed && (isSynced || state.durability === 'none'))
}

/** What is older than a synced state cannot come back. */
export function floorAt(truth: Truth, isSynced: (placed: Placed) => boolean): Truth {
  const synced = [truth.current, ...truth.older].filter(isSynced).map(({ state }) => state)
  if (synced.length === 0 || truth.older.length === 0) return truth
  return {
    ...truth,
    older: truth.older.filter(({ newer }) => !synced.some((state) => newer.includes(state))),
  }
}

/** What a power cut may leave of one truth. */
export function rollBacks(truth: Truth): Truth[] {
  return [truth.current, ...truth.older].flatMap((kept) => {
    const undone = kept.newer.filter(({ group }) => group !== undefined && group !== kept.state.group)
    const lost = [...truth.lost, ...undone.flatMap(({ group }) => group ?? [])]
    const after: Truth = { ...truth, current: { ...kept, newer: [] }, older: [], lost }
    const { origin, durability, value } = kept.state
    if (durability !== 'none' || value === undefined || origin === undefined) return [after]
    const gone = stateOnce(origin, `gone ${value}`, { ...INITIAL, cause: 'none lost' })
    return [after, { ...after, current: { ...after.current, state: gone } }]
  })
}

/** Truths that differ only in what lies behind them are joined, to one that allows what either does. */
export function merge(into: Map<string, Truth>, truth: Truth): void {
  const identity = identityOf(truth)
  const other = into.get(identity)
  if (other === undefined) {
    into.set(identity, truth)
    return
  }
  const older = new Map(other.older.map((placed) => [placed.state, placed]))
  for (const placed of truth.older) older.set(placed.state, join(older.get(placed.state) ?? placed, placed))
  const seen = other.seen.map(({ by, states }) => {
    const more = truth.seen.find((same) => same.by === by)?.states ?? []
    return { by, states: [...new Set([...states, ...more])] }
  })
  into.set(identity, {
    ...other,
    current: join(other.current, truth.current),
    older: [...older.values()],
    seen,
  })
}

function join(a: Placed, b: Placed): Placed {
  if (a === b) return a
  const newer = a.newer.filter((state) => b.newer.includes(state))
  return { state: a.state, order: Math.max(a.order, b.order), newer }
}

function identityOf({ current, done, broken, lost }: Truth): string {
  let identity = `${current.state.id}`
  for (const { observed } of done) identity += ` ${observed.id}`
  return broken.length > 0 || lost.length > 0 ? `${identity}|${broken}|${lost}` : identity
}
