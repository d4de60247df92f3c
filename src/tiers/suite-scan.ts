/** The contract of `tier.ts`: scan. */
import assert from 'node:assert/strict'
import { entryOf, everything, keyOf, rejects, scanAll, type TierCaseBody } from './suite-support.ts'

export const scanCases: readonly TierCaseBody[] = [
  {
    name: 'scans in the order of bytes, by prefix, in pages',
    async run({ tier }) {
      const names = ['a', 'a\0', 'aa', 'ab', 'b', 'é', '漢', 'z', 'z\uffff']
      await tier.save([...names].reverse().map((name) => entryOf(name, 3n, `r${name}`, 11)))
      await tier.save([{ ...entryOf('x', 1n), key: keyOf('other', 0) }])
      await tier.save([{ ...entryOf('x', 1n), key: keyOf('other', 2) }])
      const sorted = names.map((name) => keyOf(name)).sort(Buffer.compare)
      for (const limit of [1, 2, names.length, 1000]) {
        const found = await scanAll(tier, keyOf(''), limit)
        assert.deepEqual(
          found.map(({ key }) => key),
          sorted,
        )
      }
      const [first] = await scanAll(tier, keyOf('漢'))
      const record = Buffer.byteLength('r漢')
      assert.deepEqual(first, { key: keyOf('漢'), version: 3n, expiresAt: 11, recordBytes: record })
      assert.deepEqual(
        (await scanAll(tier, keyOf('a'))).map(({ key }) => key.toString('utf8', 2)),
        ['a', 'a\0', 'aa', 'ab'],
      )
      assert.equal((await scanAll(tier, everything)).length, names.length + 2)
      assert.equal((await scanAll(tier, keyOf('none'))).length, 0)
      assert.equal((await scanAll(tier, Buffer.from([255, 255]))).length, 0)
    },
  },
  {
    name: 'goes on from any key, there or not',
    async run({ tier }) {
      await tier.save(['b', 'd', 'f'].map((name) => entryOf(name, 1n)))
      const namesFrom = async (from: Buffer) => {
        return (await tier.scan(keyOf(''), from, 10)).entries
          .map(({ key }) => key.toString('utf8', 2))
          .join('')
      }
      assert.equal(await namesFrom(keyOf('a')), 'bdf')
      assert.equal(await namesFrom(keyOf('b')), 'bdf')
      assert.equal(await namesFrom(keyOf('c')), 'df')
      assert.equal(await namesFrom(keyOf('g')), '')
      assert.equal(await namesFrom(keyOf('', 0)), 'bdf')
      assert.equal(await namesFrom(keyOf('', 2)), '')
    },
  },
  {
    name: 'shows what stays exactly once, whatever is written between pages',
    async run({ tier }) {
      const stay = Array.from({ length: 40 }, (_, index) =>
        entryOf(`stay ${String(index).padStart(2, '0')}`, 1n),
      )
      await tier.save(stay)
      const seen: string[] = []
      let from: Buffer | undefined
      let round = 0
      do {
        const page = await tier.scan(keyOf(''), from, 7)
        seen.push(...page.entries.map(({ key }) => key.toString('utf8', 2)))
        from = page.next
        round++
        await tier.save([entryOf(`a ${round}`, 1n), entryOf(`z ${round}`, 1n)])
        await tier.drop([{ key: keyOf(`z ${round - 1}`), version: 1n }])
      } while (from !== undefined)
      assert.equal(seen.filter((name) => name.startsWith('stay')).length, stay.length)
      assert.equal(new Set(seen).size, seen.length)
    },
  },
  {
    name: 'refuses a limit below 1',
    async run({ tier }) {
      for (const limit of [0, -1, 1.5, Number.NaN]) {
        await rejects('ERR_RAMCACHE_CONFIG', () => tier.scan(everything, undefined, limit))
      }
    },
  },
]
