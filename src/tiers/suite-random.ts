/** Random operations on a tier beside a Map that knows what must come out. */
import assert from 'node:assert/strict'
import { Prng } from '../base/prng.ts'
import { keyOf, scanAll, type TierCaseBody, type TierContext } from './suite-support.ts'
import type { TierEntry } from './tier.ts'

const stepCount = 300
const batchMax = 30
/** Few names, so that versions meet. */
const nameCount = 60

export function randomCases(seed: number): TierCaseBody[] {
  return [
    { name: `agrees with a Map over random operations (seed ${seed})`, run: (context) => run(context, seed) },
  ]
}

async function run(context: TierContext, seed: number): Promise<void> {
  const random = new Prng(seed)
  const names = Array.from({ length: nameCount }, () => nameOf(random))
  const model = new Map<string, TierEntry>()
  const batch = <T>(make: () => T) => Array.from({ length: random.below(batchMax) }, make)
  const version = () => BigInt(random.below(50)) << BigInt(random.below(58))
  for (let step = 0; step < stepCount; step++) {
    const { tier } = context
    const dice = random.below(100)
    if (dice < 45) {
      const entries = batch(() => ({
        key: random.pick(names),
        record: Buffer.alloc(random.below(random.chance(0.1) ? 20_000 : 200), random.below(256)),
        version: version(),
        expiresAt: random.chance(0.5) ? 0 : random.below(2 ** 45),
      }))
      await tier.save(entries)
      for (const entry of entries) {
        const stored = model.get(entry.key.toString('hex'))
        if (stored === undefined || stored.version < entry.version)
          model.set(entry.key.toString('hex'), entry)
      }
    } else if (dice < 65) {
      const drops = batch(() => ({ key: random.pick(names), version: version() }))
      await tier.drop(drops)
      for (const { key, version } of drops) {
        const stored = model.get(key.toString('hex'))
        if (stored !== undefined && stored.version <= version) model.delete(key.toString('hex'))
      }
    } else if (dice < 85) {
      const keys = batch(() => random.pick(names))
      const found = await tier.load(keys)
      const expected = keys.map((key) => withoutKey(model.get(key.toString('hex'))))
      assert.deepEqual(found, expected, `step ${step}`)
    } else if (dice < 97) {
      await compare(context, model, random)
    } else {
      await context.reopen()
    }
  }
  await compare(context, model, random)
}

async function compare({ tier }: TierContext, model: Map<string, TierEntry>, random: Prng): Promise<void> {
  const prefix = random.chance(0.5) ? Buffer.alloc(0) : keyOf('', random.below(3))
  const found = await scanAll(tier, prefix, 1 + random.below(20))
  const expected = [...model.values()]
    .filter(({ key }) => key.subarray(0, prefix.length).equals(prefix))
    .sort((left, right) => Buffer.compare(left.key, right.key))
    .map(({ key, version, expiresAt, record }) => ({ key, version, expiresAt, recordBytes: record.length }))
  assert.deepEqual(found, expected)
  const bytes = [...model.values()].reduce((sum, { key, record }) => sum + key.length + record.length, 0)
  assert.deepEqual(await tier.stats(), { entries: model.size, bytes })
}

function withoutKey(entry: TierEntry | undefined): Omit<TierEntry, 'key'> | undefined {
  if (entry === undefined) return undefined
  const { key: _, ...rest } = entry
  return rest
}

function nameOf(random: Prng): Buffer {
  const length = random.chance(0.1) ? 1800 + random.below(2200) : 1 + random.below(12)
  // Two letters, so that names are prefixes of each other.
  const text = Array.from({ length }, () => (random.chance(0.5) ? 'a' : 'b')).join('')
  return keyOf(text, random.below(3))
}
