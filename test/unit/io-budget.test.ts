import { expect, it } from 'vitest'
import { ManualClock } from '../../src/base/clock.ts'
import { IoBudget } from '../../src/owner/io-budget.ts'

it('whoever rests as long as it says spends no more than the budget, whatever the pieces', () => {
  const clock = new ManualClock()
  const budget = new IoBudget(1000, clock)
  let spent = 0
  for (const bytes of [1, 499, 500, 2000, 7, 993]) {
    spent += bytes
    clock.advance(Math.ceil(budget.spend(bytes)))
  }
  const seconds = clock.monotonicUs() / 1e6
  expect(spent / seconds).toBeLessThanOrEqual(1000)
  expect(spent / seconds).toBeGreaterThan(950)
})

it('rest that was not used is not saved up, and what was not paid is not forgotten', () => {
  const clock = new ManualClock()
  const budget = new IoBudget(1000, clock)
  clock.advance(60_000)
  expect(budget.spend(500)).toBe(500)
  expect(budget.spend(500)).toBe(1000)
  clock.advance(400)
  expect(budget.spend(0)).toBe(600)
  expect(new IoBudget(undefined, clock).spend(1e12)).toBe(0)
})
