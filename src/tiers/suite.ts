/**
 * `ramcache/tier-suite`: what every tier must do, as cases for any test framework.
 *
 * ```ts
 * import { test } from 'node:test'
 * import { tierSuite } from 'ramcache/tier-suite'
 *
 * tierSuite({ test, makeTier: () => ({ tier: new MyTier(), reopen: () => new MyTier() }) })
 * ```
 */
import { freshSeed } from '../base/prng.ts'
import { basicCases } from './suite-basic.ts'
import { randomCases } from './suite-random.ts'
import { scanCases } from './suite-scan.ts'
import type { Tier } from './tier.ts'

export type { Tier, TierDrop, TierEntry, TierInfo, TierPage, TierRecord, TierStats } from './tier.ts'
export { tierKeyBytesMax } from './tier.ts'

/** A tier to test, empty and not yet open. */
export interface TierSubject {
  readonly tier: Tier
  /** Another tier over the same storage, not yet open; called when the one before is closed. */
  readonly reopen: () => Tier
  /** Removes what is left; the tiers are closed. */
  readonly end?: () => void | Promise<void>
}

export interface TierSuiteOptions {
  /** `test` or `it` of a test framework. */
  readonly test: (name: string, run: () => Promise<void>) => unknown
  readonly makeTier: () => TierSubject | Promise<TierSubject>
  /** Of the random cases; their names show it. */
  readonly seed?: number
}

export interface TierCase {
  readonly name: string
  readonly run: (makeTier: TierSuiteOptions['makeTier']) => Promise<void>
}

export function tierCases(seed = freshSeed()): TierCase[] {
  return [...basicCases, ...scanCases, ...randomCases(seed)].map(({ name, run }) => ({
    name,
    run: async (makeTier) => {
      const subject = await makeTier()
      let { tier } = subject
      const context = {
        get tier() {
          return tier
        },
        reopen: async () => {
          await tier.close()
          tier = subject.reopen()
          await tier.open()
        },
      }
      try {
        await tier.open()
        await run(context)
      } finally {
        await tier.close()
        await subject.end?.()
      }
    },
  }))
}

/** Hands every case to `test`. */
export function tierSuite({ test, makeTier, seed }: TierSuiteOptions): void {
  for (const { name, run } of tierCases(seed)) test(name, () => run(makeTier))
}
