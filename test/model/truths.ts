/**
 * All possible truths about each key, and how every event narrows or widens them. Widening is just in time: a running
 * operation takes effect in some truths when another one's answer may need it, and in all of them when it ends.
 */
import { type Rule, ruleOfRead } from './rules.ts'
import type { CrashKind, Key, Operation, Reply } from './subject.ts'
import {
  absent,
  become,
  conclude,
  deadOf,
  expiresLeastMs,
  expiresMostMs,
  FIRST,
  floorAt,
  invalidates,
  isDone,
  markDone,
  merge,
  type Observed,
  type Placed,
  rollBacks,
  type State,
  shadow,
  stateOnce,
  type Truth,
} from './truth.ts'

export interface KeyHistory {
  readonly key: Key
  truths: Truth[]
  running: Observed[]
}

interface Granted {
  readonly key: Key
  readonly tags: readonly string[]
  readonly beganAt: number
  readonly at: number
}

export class Truths {
  /** Time as the store may see it lies between these two. */
  leastMs = 0
  mostMs = 0
  /** Counts states in the order they took effect. */
  orders = 0
  readonly leases = new Map<number, Granted>()
  /** Clears and invalidations of tags. */
  readonly #invalidations: Observed[] = []
  #moments = 0
  #crashes = { killAt: -1, powerAt: -1 }

  nextMoment(): number {
    return ++this.#moments
  }

  grant({ lease, key, tags }: Operation & { kind: 'lease' }, beganAt: number): void {
    this.leases.set(lease, { key, tags, beganAt, at: this.nextMoment() })
  }

  begin(history: KeyHistory, observed: Observed): void {
    history.running.push(observed)
    if (isInvalidation(observed) && this.#invalidations.at(-1) !== observed)
      this.#invalidations.push(observed)
    if (!isReader(observed)) return
    history.truths = history.truths.map((truth) => {
      const seen = { by: observed, states: [truth.current.state] }
      return { ...truth, seen: [...truth.seen, seen] }
    })
  }

  end(observed: Observed): void {
    observed.endedAt = this.nextMoment()
    observed.endedMostMs = this.mostMs
  }

  /**
   * The operation ended with this answer: keep the truths in which it took effect so, or name the rule it broke.
   * `writer` wrote the value that was read.
   */
  settle(
    history: KeyHistory,
    observed: Observed,
    reply: Reply,
    writer: Operation | undefined,
  ): Rule | undefined {
    const isUnanswered = reply.kind === 'value' || (reply.kind === 'flag' && !reply.flag)
    const settled = new Map<string, Truth>()
    history.running = history.running.filter((other) => other !== observed)
    this.#explore(history, (truth) => {
      if (isUnanswered) {
        const isAllowed = !isDone(truth, observed) && this.#isShown(truth, observed, reply)
        if (isAllowed) merge(settled, conclude(truth, observed))
      } else {
        const after = isDone(truth, observed) ? [truth] : this.#apply(history.key, truth, observed)
        for (const each of after) merge(settled, conclude(each, observed))
      }
      // Once it took effect nothing else needs to, before the next answer.
      return !isDone(truth, observed)
    })
    if (settled.size === 0) return this.#ruleOf(history, observed, reply, writer)
    history.truths = [...settled.values()]
    return undefined
  }

  /** Everything acknowledged before the flush began is synced. */
  flushed(histories: Iterable<KeyHistory>, flush: Observed): void {
    const isCovered = ({ state: { origin }, order }: Placed): boolean =>
      order <= flush.orderAtBegin &&
      (origin === undefined || (origin.endedAt ?? flush.beganAt) < flush.beganAt)
    for (const history of histories) history.truths = history.truths.map((truth) => floorAt(truth, isCovered))
  }

  crash(histories: Iterable<KeyHistory>, kind: CrashKind): void {
    this.#crashes = { ...this.#crashes, [kind === 'kill' ? 'killAt' : 'powerAt']: this.nextMoment() }
    for (const history of histories) {
      const left = new Map<string, Truth>()
      this.#explore(history, (truth) => {
        const undone = history.running.filter((other) => !isDone(truth, other))
        const groups = undone.filter(({ operation }) => operation.kind === 'setMany').map(({ id }) => id)
        const cut = { ...truth, done: [], seen: [], broken: [], lost: [...truth.lost, ...groups] }
        for (const after of kind === 'kill' ? [cut] : rollBacks(cut)) merge(left, after)
        return true
      })
      history.running = []
      history.truths = [...left.values()]
    }
    this.leases.clear()
  }

  /** Shows every truth there may be by now, after any of the running operations took effect in any order. */
  #explore(history: KeyHistory, visit: (truth: Truth) => boolean): void {
    const writers = history.running.filter(isWriter)
    let layer = history.truths
    while (layer.length > 0) {
      const next = new Map<string, Truth>()
      for (const truth of layer) {
        if (!visit(truth)) continue
        for (const writer of writers) {
          if (isDone(truth, writer)) continue
          for (const after of this.#apply(history.key, truth, writer)) merge(next, after)
        }
      }
      layer = [...next.values()]
    }
  }

  /** Whether some state since the operation began explains a read of this value, or an unmet condition. */
  #isShown(truth: Truth, observed: Observed, reply: Reply): boolean {
    const { kind } = observed.operation
    if (kind === 'fill') return true
    const states = truth.seen.find(({ by }) => by === observed)?.states ?? []
    const shown = states.find((state) => {
      if (kind === 'add') return this.#mayBeAlive(state, observed)
      if (reply.kind !== 'value' || reply.value === undefined) return this.#mayBeAbsent(state)
      return reply.value === state.value && this.#mayBeAlive(state, observed)
    })
    if (reply.kind === 'value' && shown !== undefined) shown.seenAt = this.nextMoment()
    return shown !== undefined
  }

  #mayBeAlive(state: State, { leastMs }: Observed): boolean {
    return state.value !== undefined && expiresMostMs(state) > leastMs
  }

  #mayBeAbsent(state: State): boolean {
    return state.value === undefined || expiresLeastMs(state) <= this.mostMs
  }

  /** What the key can be after the operation took effect now, conditions met. None: it cannot have. */
  #apply(key: Key, truth: Truth, observed: Observed): Truth[] {
    const { operation } = observed
    const { state } = truth.current
    switch (operation.kind) {
      case 'set':
      case 'setMany':
      case 'remotePut':
      case 'fill':
        return this.#write(key, truth, observed)
      case 'add':
        return this.#mayBeAbsent(state) ? this.#write(key, truth, observed) : []
      case 'touch': {
        if (!this.#mayBeAlive(state, observed)) return []
        const touched = stateOnce(observed, `${state.value}`, { ...state, ttlMs: operation.ttlMs })
        return [markDone(become(truth, touched, ++this.orders), observed, this.orders)]
      }
      case 'delete':
      case 'clear':
        return [this.#change(key, truth, observed, absent(observed, operation.kind))]
      case 'invalidateTag': {
        const after = invalidates(operation, state) ? absent(observed, 'tag') : undefined
        return [shadow(this.#change(key, truth, observed, after), observed)]
      }
      default:
        return [markDone(truth, observed, this.orders)]
    }
  }

  #change(key: Key, truth: Truth, observed: Observed, state: State | undefined): Truth {
    const after = state === undefined ? truth : become(truth, state, ++this.orders)
    return { ...markDone(after, observed, this.orders), broken: this.#brokenBy(key, truth, observed) }
  }

  /** The value is there; or it is dead on arrival, if an invalidation overlapped its write or its lease. */
  #write(key: Key, truth: Truth, observed: Observed): Truth[] {
    const { operation } = observed
    const lease = operation.kind === 'fill' ? this.leases.get(operation.lease) : undefined
    const isStale =
      operation.kind === 'fill' && (lease === undefined || truth.broken.includes(operation.lease))
    const state = this.#stateOf(key, observed)
    const alive = this.#change(key, truth, observed, state)
    const since = lease?.beganAt ?? observed.beganAt
    const killer = this.#invalidations.find((other) => {
      const isOverlapping = other.endedAt !== undefined && other.endedAt > since
      return isOverlapping && invalidates(other.operation, state)
    })
    const results = isStale ? [] : [alive]
    return killer === undefined ? results : [...results, become(alive, deadOf(killer, state), ++this.orders)]
  }

  #stateOf(key: Key, observed: Observed): State {
    const { operation, id } = observed
    const ttlMs = 'ttlMs' in operation ? operation.ttlMs : undefined
    const group = operation.kind === 'setMany' ? operation : undefined
    const single = 'value' in operation ? operation.value : undefined
    return stateOnce(observed, key, {
      value: group === undefined ? single : group.values[group.keys.indexOf(key)],
      cause: 'write',
      durability: 'durability' in operation ? operation.durability : 'sync',
      tags: 'tags' in operation ? operation.tags : [],
      group: group === undefined ? undefined : id,
      ttlMs: ttlMs ?? Number.POSITIVE_INFINITY,
    })
  }

  /** A change that began after a lease was granted makes its fill stale. */
  #brokenBy(key: Key, { broken }: Truth, { operation, beganAt }: Observed): readonly number[] {
    // A fill is as old as its own lease.
    const since = operation.kind === 'fill' ? (this.leases.get(operation.lease)?.beganAt ?? 0) : beganAt
    const more: number[] = []
    for (const [id, lease] of this.leases) {
      const isMeant = operation.kind !== 'invalidateTag' || lease.tags.includes(operation.tag)
      if (isMeant && lease.key === key && since > lease.at && !broken.includes(id)) more.push(id)
    }
    return more.length === 0 ? broken : [...broken, ...more].sort((a, b) => a - b)
  }

  #ruleOf(history: KeyHistory, observed: Observed, reply: Reply, writer: Operation | undefined): Rule {
    const { kind } = observed.operation
    if (kind === 'fill') return 'stale-fill'
    const isRead = reply.kind === 'value'
    const isPresent = reply.kind === 'flag' && (kind === 'touch') === reply.flag
    const value = isRead ? reply.value : isPresent ? 'any' : undefined
    const times = { mostMs: this.mostMs, ...this.#crashes }
    const states = history.truths.map(({ current }) => current.state)
    const rule = ruleOfRead(states, value, writer, times)
    return !isRead && rule === 'false-miss' ? 'wrong-condition' : rule
  }
}

export const newHistory = (key: Key): KeyHistory => ({ key, truths: [FIRST], running: [] })

export const describe = ({ truths }: KeyHistory): string =>
  truths.map(({ current: { state } }) => `${state.cause} ${state.value ?? ''}`.trim()).join(' | ')

const READS: ReadonlySet<Operation['kind']> = new Set(['get', 'near', 'getMany'])
const CONDITIONS: ReadonlySet<Operation['kind']> = new Set(['add', 'touch'])

const isReader = ({ operation: { kind } }: Observed): boolean => READS.has(kind) || CONDITIONS.has(kind)

const isWriter = ({ operation: { kind } }: Observed): boolean => !READS.has(kind) && kind !== 'lease'

const isInvalidation = ({ operation: { kind } }: Observed): boolean =>
  kind === 'clear' || kind === 'invalidateTag'
