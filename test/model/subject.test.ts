/** A store that answers by promises, and takes its steps when it likes, runs under the same schedules and oracle. */
import { expect, it } from 'vitest'
import { Prng } from '../../src/base/prng.ts'
import { runFreely } from './driver.ts'
import { Model } from './model.ts'
import type { Mutant } from './mutants.ts'
import { PROFILES } from './profiles.ts'
import { makeSchedule } from './schedule.ts'
import { type CrashKind, type Operation, type Reply, type Steps, type Subject, WAITING } from './subject.ts'

const SEEDS = 25
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** The model behind promises: every step is a turn of the event loop, and a crash drops what is under way. */
class Promised implements Subject {
  readonly #model: Model
  #life = 0

  constructor(model: Model) {
    this.#model = model
  }

  *begin(operation: Operation): Steps<Reply> {
    return yield* this.#await(this.#model.begin(operation))
  }

  crash(kind: CrashKind): void {
    this.#life++
    this.#model.crash(kind)
  }

  *recover(): Steps {
    return yield* this.#await(this.#model.recover())
  }

  check(): string[] {
    return this.#model.check()
  }

  *#await<Result>(steps: Steps<Result>): Steps<Result> {
    let settled: { readonly result: Result } | undefined
    void this.#work(steps).then((result) => {
      settled = { result }
    })
    while (settled === undefined) yield WAITING
    return settled.result
  }

  async #work<Result>(steps: Steps<Result>): Promise<Result> {
    const life = this.#life
    for (let next = steps.next(); ; next = steps.next()) {
      if (next.done) return next.value
      await turn()
      if (this.#life !== life) await new Promise<never>(() => {})
    }
  }
}

const runPromised = async (seed: number, mutant?: Mutant) => {
  const schedule = makeSchedule(seed, PROFILES.deletes)
  const subject = new Promised(new Model(new Prng(seed), mutant))
  const options = { isTraced: false, isChecked: mutant === undefined }
  return (await runFreely(schedule, subject, new Prng(seed), options, turn)).violation
}

it('passes when it is right', async () => {
  for (let seed = 1; seed <= SEEDS; seed++) expect(await runPromised(seed), `seed ${seed}`).toBeUndefined()
})

it('is caught when it is wrong', async () => {
  const rules = new Set<string | undefined>()
  for (let seed = 1; seed <= SEEDS; seed++) {
    rules.add((await runPromised(seed, 'deleteClearsSlotWithoutTombstone'))?.rule)
  }
  expect(rules).toContain('deleted-returned')
})
