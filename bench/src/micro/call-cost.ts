/** What crossing into native code costs: a `#[napi]` function beside raw callbacks, and the string conversions. */
import { binding } from '../../../dist/native/binding.js'
import type { BenchOptions } from '../main.js'
import { type Contender, compare, type Row } from '../support/compare.js'
import { freshKeys, SEED } from '../support/keys.js'

export async function callCost({ isSmall }: BenchOptions): Promise<Row[]> {
  const native = binding()
  const raw = native.costRaw()
  const keys = freshKeys(1000, 1e6)
  console.log(`1,000 calls a batch, 16-byte keys, seed ${SEED}`)
  const batch = (name: string, call: (key: string) => unknown): Contender => ({
    name,
    operations: keys.length,
    batch() {
      let sum = 0
      for (const key of keys) sum += (call(key) as { length?: number } | undefined)?.length ?? 1
      return sum
    },
  })
  const contenders = [
    batch('raw callback, nothing', () => raw.nothing()),
    batch('#[napi], nothing', () => native.costNapiNothing()),
    batch('raw, key as latin1', (key) => raw.latin1Key(key)),
    batch('raw, key as utf8', (key) => raw.utf8Key(key)),
    batch('raw, key as utf16', (key) => raw.utf16Key(key)),
    batch('#[napi], key as String', (key) => native.costNapiString(key)),
    batch('raw, 64 B string out', () => raw.stringOut()),
    batch('raw, 64 B Buffer out', () => raw.bufferOut()),
  ]
  return compare('call', contenders, { rounds: isSmall ? 1 : 7, msPerRound: isSmall ? 5 : 60 })
}
