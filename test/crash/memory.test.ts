/** Ten times the memory in data: nothing is lost or refused, and the process stays within the budget and a tenth. */
import { expect, it } from 'vitest'
import { testFolder } from '../support/folders.ts'
import { Child } from './support.ts'

const budgetBytes = 64 << 20

it('640 MB of data, with a budget of 64 MB', async () => {
  const nodeOptions = ['--expose-gc', '--max-semi-space-size=1']
  const child = new Child('memory', [testFolder(), '64mb', '640'], nodeOptions)
  await child.end()
  const { peak, refused, wrong } = JSON.parse(child.output)
  expect({ refused, wrong }).toEqual({ refused: 0, wrong: 0 })
  expect(peak.shared).toBeLessThanOrEqual(budgetBytes)
  expect(peak.all).toBeLessThanOrEqual(budgetBytes * 1.1)
})
