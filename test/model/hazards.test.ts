/**
 * The model of the store under seeded schedules with crashes: the faithful one never breaks a rule, and each mutant,
 * the model without one guard, breaks the rule that guard is for. `docs/TESTING-MODEL.md` has the table.
 */
import { afterAll, expect, it } from 'vitest'
import { MUTANTS, type Mutant, type Seeded } from './mutants.ts'
import { PROFILES, type ProfileName } from './profiles.ts'
import { replay } from './replay.ts'
import { RULES } from './rules.ts'

const SEEDS_DEFAULT = 75
/** Schedules of `everything` for each one of another profile. */
const EVERYTHING_FACTOR = 2
/** A mutant that lives longer is not caught. */
const MUTANT_SEEDS_MAX = 5000

const only = process.env.RAMCACHE_SEED
const seedBase = Number(only ?? 1)
const seedCount = only === undefined ? Number(process.env.RAMCACHE_SEEDS ?? SEEDS_DEFAULT) : 1
const profiles = Object.keys(PROFILES) as ProfileName[]
const mutants = Object.entries(MUTANTS) as [Mutant, Seeded][]
const summary: string[] = []

console.log(`model: base seed ${seedBase}, ${seedCount} seeds for each of ${profiles.length} profiles`)
afterAll(() => console.log(summary.join('\n')))

it.each(profiles)('the faithful model breaks no rule: %s', (profile) => {
  expect(seedCount).toBeGreaterThan(0)
  const count = profile === 'everything' && only === undefined ? seedCount * EVERYTHING_FACTOR : seedCount
  for (let seed = seedBase; seed < seedBase + count; seed++) {
    if (replay(seed, profile).violation !== undefined) expect.fail(reportOf(seed, profile))
  }
})

it.each(mutants)('the mutant is caught: %s', (mutant, { hazard, profile, rules }) => {
  for (let seed = seedBase; seed < seedBase + MUTANT_SEEDS_MAX; seed++) {
    const { violation } = replay(seed, profile, mutant)
    if (violation === undefined) continue
    const where = `hazard ${hazard}, ${mutant}: ${violation.rule} at seed ${seed} of ${profile}`
    summary.push(where)
    expect(rules, `${where}\n${reportOf(seed, profile, mutant)}`).toContain(violation.rule)
    return
  }
  expect.fail(`hazard ${hazard}, ${mutant}: not caught by ${MUTANT_SEEDS_MAX} seeds of ${profile}`)
})

it('one seed gives one schedule', () => {
  for (const profile of profiles) {
    expect(replay(seedBase, profile, undefined, true)).toEqual(replay(seedBase, profile, undefined, true))
  }
})

/** Steps that only happen when a protocol gets somewhere. */
const STEPS_TO_REACH = [
  /touched records appended at the head/,
  /index rows dropped/,
  /file \d+ deleted/,
  /file \d+ still in use/,
  /[1-9] tombstones/,
  /segment \d+ recycled/,
  /slot of \w+ cleared/,
  /split version bumped/,
  /copies swapped/,
  /group sequence odd/,
  /fill admitted/,
  /near: generation loaded/,
  /hdd read/,
  /recovery: groups completed/,
  /recovery: log replayed/,
  /batch of [2-9] written/,
]

it('the schedules reach the far steps of every protocol', () => {
  const missing = new Set(STEPS_TO_REACH)
  for (let seed = seedBase; seed < seedBase + 200 && missing.size > 0; seed++) {
    const text = replay(seed, 'everything', undefined, true).trace.join('\n')
    for (const step of missing) if (step.test(text)) missing.delete(step)
  }
  expect([...missing]).toEqual([])
})

function reportOf(seed: number, profile: ProfileName, mutant?: Mutant): string {
  const { violation, trace } = replay(seed, profile, mutant, true)
  if (violation === undefined) return `seed ${seed} of ${profile} breaks no rule when traced`
  const head = `RAMCACHE_SEED=${seed}, profile ${profile}: ${violation.rule} (${RULES[violation.rule]})`
  return [head, violation.detail, ...trace].join('\n')
}
