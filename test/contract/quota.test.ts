/** Quotas where there are tiers below: what a tenant loses of RAM it has on the SSD. */
import { expect, it } from 'vitest'
import { openTiered } from '../support/stores.ts'

it('a tenant over its quota leaves RAM for the SSD tier, and the others stay', async () => {
  const { cache, end } = await openTiered({ memory: '2mb', namespaces: { noisy: { quota: '128kb' } } })
  const noisy = cache.namespace('noisy')
  const quiet = cache.namespace('quiet')
  const value = 'x'.repeat(500)
  for (let number = 0; number < 1000; number++) await quiet.set(`k${number}`, value)
  const total = 10_000
  for (let number = 0; number < total; number++) {
    await noisy.set(`k${number}`, value)
    // What the log does not have yet cannot leave RAM, and others would have to.
    if (number % 50 === 0) await cache.flush()
  }
  let inRam = 0
  for (let number = 0; number < 1000; number++) {
    if (quiet.getSync(`k${number}`) !== undefined) inRam++
  }
  // A point of its hit rate, at most.
  expect(inRam).toBeGreaterThanOrEqual(990)
  for (let number = 0; number < total; number += 100) expect(await noisy.get(`k${number}`)).toBe(value)
  expect((await cache.stats()).tiers.ssd.demotedIn).toBeGreaterThan(total / 2)
  await end()
})
