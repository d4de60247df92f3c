/**
 * Drives a subject through a schedule: starts operations, interleaves their steps at random, crashes between any two,
 * recovers, reads every key, and lets the oracle judge each answer. The order of steps comes from the seed alone.
 */

import type { Prng } from '../../src/base/prng.ts'
import { Oracle } from './oracle.ts'
import type { Violation } from './rules.ts'
import { type Item, type Schedule, weighted } from './schedule.ts'
import { type CrashKind, type Operation, type Reply, type Steps, type Subject, WAITING } from './subject.ts'

const TASKS_MAX = 4
const STEPS_MAX = 20_000
/** A recovery is crashed this often, and at most so many times in a row. */
const RECOVERY_CRASH_CHANCE = 0.1
const RECOVERY_CRASHES_MAX = 2
/** How eagerly the next operation is started; small is nearly sequential. */
const START_CHANCES = [0.03, 0.15, 0.5] as const
/** Most tasks run at full speed, some are paused for long in the middle. */
const SPEEDS = [1, 1, 1, 0.1, 0.02] as const
/** What a profile calls slow is paused every few steps, for so many steps of others. */
const PAUSE_BEFORE_STEP_MAX = 8
const PAUSE_STEPS_MAX = 200

export interface Outcome {
  readonly violation: Violation | undefined
  readonly steps: number
  readonly trace: readonly string[]
}

export interface RunOptions {
  readonly isTraced: boolean
  /** Walk the structure at the end; off when only wrong answers count. */
  readonly isChecked: boolean
  /** Everything happens in steps; without it a task may wait for what the driver does not do, and is asked again. */
  readonly isStepped: boolean
}

interface Task {
  readonly id: number
  readonly operation: Operation
  readonly steps: Steps<Reply>
  readonly speed: number
  isWaiting: boolean
  /** Steps left before its pause; it ends when the driver has come to `pausedUntil`. */
  stepsToPause: number
  pausedUntil: number
}

class Broken extends Error {
  readonly violation: Violation

  constructor(violation: Violation) {
    super(`${violation.rule}: ${violation.detail}`)
    this.violation = violation
  }
}

export class Driver {
  readonly #schedule: Schedule
  readonly #subject: Subject
  readonly #random: Prng
  readonly #oracle: Oracle
  readonly #startChance: number
  readonly #options: RunOptions
  readonly trace: string[] = []
  #tasks: Task[] = []
  #ids = 0
  steps = 0

  constructor(schedule: Schedule, subject: Subject, random: Prng, options: RunOptions) {
    this.#schedule = schedule
    this.#subject = subject
    this.#random = random
    this.#oracle = new Oracle(schedule.keys)
    this.#startChance = random.pick(START_CHANCES)
    this.#options = options
  }

  /** Yields after each step, so that a driver of a real store can let the event loop turn. */
  *drive(): Generator<void, Violation | undefined, void> {
    try {
      for (const item of this.#schedule.items) {
        while (this.#mustStep()) {
          this.#stepOne()
          yield
        }
        yield* this.#start(item)
      }
      yield* this.#finish()
      yield* this.#survey()
    } catch (error) {
      if (error instanceof Broken) return error.violation
      throw error
    }
    const [problem] = this.#options.isChecked ? this.#subject.check() : []
    return problem === undefined ? undefined : { rule: 'structure', detail: problem }
  }

  #mustStep(): boolean {
    if (this.#tasks.every((task) => this.#isPaused(task))) return this.#tasks.length >= TASKS_MAX
    return this.#tasks.length >= TASKS_MAX || !this.#random.chance(this.#startChance)
  }

  *#start(item: Item): Generator<void, void, void> {
    if (item.kind === 'crash') yield* this.#crash(item.crash)
    else {
      // Nobody fills before the lease is in his hands.
      while (item.kind === 'fill' && this.#isLeasing(item.lease)) {
        this.#stepOne()
        yield
      }
      const task = this.#begin(item)
      // The clock is no task of the store: it moves at once.
      if (item.kind === 'advance') while (this.#tasks.includes(task)) this.#step(task)
    }
  }

  #isLeasing(lease: number): boolean {
    return this.#tasks.some(({ operation }) => operation.kind === 'lease' && operation.lease === lease)
  }

  #begin(operation: Operation): Task {
    const id = ++this.#ids
    const name = operation.kind === 'move' ? operation.move : operation.kind
    const isSlow = this.#schedule.slow.includes(name)
    this.#oracle.invoke(id, operation)
    const task: Task = {
      id,
      operation,
      steps: this.#subject.begin(operation),
      speed: this.#random.pick(SPEEDS),
      isWaiting: false,
      stepsToPause: isSlow ? this.#random.below(PAUSE_BEFORE_STEP_MAX) : Number.POSITIVE_INFINITY,
      pausedUntil: 0,
    }
    this.#tasks.push(task)
    if (this.#options.isTraced) this.#note(id, describe(operation))
    return task
  }

  #stepOne(): void {
    let ready = this.#tasks.filter((task) => !task.isWaiting && !this.#isPaused(task))
    if (ready.length === 0) ready = this.#tasks.filter((task) => !task.isWaiting)
    if (ready.length === 0) {
      // Everyone waited since the last real step: each may try once more, then it is a deadlock.
      ready = this.#tasks
      const isStuck = ready.every((task) => this.#step(task) === WAITING)
      if (isStuck && this.#options.isStepped) {
        throw new Broken({ rule: 'stuck', detail: ready.map((task) => describe(task.operation)).join('; ') })
      }
      return
    }
    const task =
      ready[
        weighted(
          this.#random,
          ready.map(({ speed }) => speed),
        )
      ]
    if (task !== undefined) this.#step(task)
  }

  #isPaused(task: Task): boolean {
    return task.pausedUntil > this.steps
  }

  #step(task: Task): string | undefined {
    const result = task.steps.next()
    task.isWaiting = !result.done && result.value === WAITING
    if (task.isWaiting && !this.#options.isStepped) return WAITING
    if (++this.steps > STEPS_MAX) throw new Broken({ rule: 'stuck', detail: `${STEPS_MAX} steps` })
    if (!result.done) {
      if (task.isWaiting) return WAITING
      if (--task.stepsToPause <= 0) {
        task.stepsToPause = this.#random.below(PAUSE_BEFORE_STEP_MAX)
        task.pausedUntil = this.steps + this.#random.below(PAUSE_STEPS_MAX)
      }
      this.#note(task.id, result.value)
    } else {
      this.#tasks = this.#tasks.filter((other) => other !== task)
      if (this.#options.isTraced) this.#note(task.id, `answers ${JSON.stringify(result.value)}`)
      this.#judge(this.#oracle.respond(task.id, result.value))
    }
    for (const other of this.#tasks) other.isWaiting = false
    return undefined
  }

  *#crash(kind: CrashKind): Generator<void, void, void> {
    for (let left = RECOVERY_CRASHES_MAX; ; left--) {
      this.#tasks = []
      this.#subject.crash(kind)
      this.#oracle.crash(kind)
      this.#note(0, `=== ${kind}`)
      const limit = left > 0 && this.#random.chance(RECOVERY_CRASH_CHANCE) ? this.#random.below(6) : STEPS_MAX
      if (yield* this.#recover(limit)) break
      kind = this.#random.chance(0.5) ? 'kill' : 'power'
    }
    yield* this.#survey()
    this.#judge(this.#oracle.surveyed())
  }

  /** False when the limit cut it short. */
  *#recover(limit: number): Generator<void, boolean, void> {
    const steps = this.#subject.recover()
    for (let count = 0; count < limit; ) {
      const result = steps.next()
      if (result.done) return true
      if (result.value !== WAITING) count++
      this.#note(0, `recovery: ${result.value}`)
      yield
    }
    return false
  }

  /** Reads every key, with nothing else running. */
  *#survey(): Generator<void, void, void> {
    for (const key of this.#schedule.keys) {
      this.#begin({ kind: 'get', key, promote: false })
      yield* this.#finish()
    }
  }

  *#finish(): Generator<void, void, void> {
    while (this.#tasks.length > 0) {
      this.#stepOne()
      yield
    }
  }

  #judge(violation: Violation | undefined): void {
    if (violation !== undefined) throw new Broken(violation)
  }

  #note(id: number, text: string): void {
    if (this.#options.isTraced) this.trace.push(id === 0 ? text : `#${id} ${text}`)
  }
}

/** Runs a whole schedule at once, for a subject whose steps are all in the driver's hands. */
export function run(
  schedule: Schedule,
  subject: Subject,
  random: Prng,
  options: Omit<RunOptions, 'isStepped'>,
): Outcome {
  const driver = new Driver(schedule, subject, random, { ...options, isStepped: true })
  const steps = driver.drive()
  let result = steps.next()
  while (!result.done) result = steps.next()
  return { violation: result.value, steps: driver.steps, trace: driver.trace }
}

/** Runs a schedule against a subject that works by itself; `turn` lets it. */
export async function runFreely(
  schedule: Schedule,
  subject: Subject,
  random: Prng,
  options: Omit<RunOptions, 'isStepped'>,
  turn: () => Promise<void>,
): Promise<Outcome> {
  const driver = new Driver(schedule, subject, random, { ...options, isStepped: false })
  const steps = driver.drive()
  let result = steps.next()
  while (!result.done) {
    await turn()
    result = steps.next()
  }
  return { violation: result.value, steps: driver.steps, trace: driver.trace }
}

const describe = ({ kind, ...rest }: Operation): string => {
  const parts = Object.entries(rest).filter(([, value]) => value !== undefined)
  return [kind, ...parts.map(([name, value]) => `${name}=${value}`)].join(' ')
}
