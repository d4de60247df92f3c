/** One seed, one profile, one mutant or none: everything that happens follows from these three. */

import { Prng } from '../../src/base/prng.ts'
import { type Outcome, run } from './driver.ts'
import { Model } from './model.ts'
import type { Mutant } from './mutants.ts'
import { PROFILES, type ProfileName } from './profiles.ts'
import { makeSchedule } from './schedule.ts'

/** The schedule, the order of steps and what a power cut spares are drawn from streams of their own. */
const STEPS_STREAM = 0x5bd1e995
const MODEL_STREAM = 0x01234567

export function replay(seed: number, profile: ProfileName, mutant?: Mutant, isTraced = false): Outcome {
  const schedule = makeSchedule(seed, PROFILES[profile])
  const model = new Model(new Prng(seed ^ MODEL_STREAM), mutant)
  // A mutant has to give a wrong answer: a malformed structure alone does not count.
  return run(schedule, model, new Prng(seed ^ STEPS_STREAM), { isTraced, isChecked: mutant === undefined })
}
