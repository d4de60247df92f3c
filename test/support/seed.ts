/** The seed of a random test: `RAMCACHE_SEED`, or a fresh one; printed either way. */
import { freshSeed } from '../../src/base/prng.ts'

export function testSeed(what: string): number {
  const seed = Number(process.env.RAMCACHE_SEED ?? freshSeed())
  console.log(`${what}: seed ${seed}`)
  return seed
}
