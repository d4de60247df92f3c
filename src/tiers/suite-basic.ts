/** The contract of `tier.ts`, case by case: save, load, drop, open and close. */
import assert from 'node:assert/strict'
import { entryOf, everything, keyOf, rejects, scanAll, type TierCaseBody, textOf } from './suite-support.ts'
import { type TierEntry, tierKeyBytesMax } from './tier.ts'

export const basicCases: readonly TierCaseBody[] = [
  {
    name: 'gives back the bytes, the version and the expiry that were saved',
    async run({ tier, reopen }) {
      const entry: TierEntry = {
        key: keyOf('k'),
        record: Buffer.from([0, 255, 10, 13, 0]),
        version: 0xfedc_ba98_7654_3210n,
        expiresAt: 2 ** 48 - 1,
      }
      await tier.save([entry])
      const { key: _, ...expected } = entry
      assert.deepEqual(await tier.load([entry.key]), [expected])
      await reopen()
    },
  },
  {
    name: 'keeps everything over a reopen',
    async run(context) {
      await context.tier.save([entryOf('a', 1n), entryOf('b', 2n, '', 7)])
      const before = await context.tier.stats()
      await context.reopen()
      assert.deepEqual(await textOf(context.tier, 'a', 'b', 'c'), ['a@1', '', undefined])
      assert.deepEqual(await context.tier.stats(), before)
      await context.tier.drop([{ key: keyOf('a'), version: 1n }])
      await context.reopen()
      assert.deepEqual(await textOf(context.tier, 'a', 'b'), [undefined, ''])
    },
  },
  {
    name: 'loads many keys in their order, repeated ones too',
    async run({ tier }) {
      await tier.save([entryOf('b', 1n), entryOf('a', 1n), entryOf('c', 1n)])
      const names = ['c', 'none', 'a', 'c', 'b', 'none']
      assert.deepEqual(await textOf(tier, ...names), ['c@1', undefined, 'a@1', 'c@1', 'b@1', undefined])
      assert.deepEqual(await tier.load([]), [])
    },
  },
  {
    name: 'takes records from nothing to megabytes',
    async run({ tier }) {
      const sizes = [0, 1, 4095, 65_536, 3_000_000]
      const entries = sizes.map((size) => ({
        ...entryOf(`k${size}`, 1n),
        record: Buffer.alloc(size, size & 0xff),
      }))
      await tier.save(entries)
      const found = await tier.load(entries.map(({ key }) => key))
      for (const [index, size] of sizes.entries()) {
        assert.ok(found[index]?.record.equals(Buffer.alloc(size, size & 0xff)), `${size} bytes`)
      }
    },
  },
  {
    name: 'takes keys of 3 to 4,098 bytes and refuses others',
    async run({ tier }) {
      const long = Array.from({ length: 3 }, (_, index) => {
        const key = Buffer.alloc(tierKeyBytesMax, 'x')
        key[tierKeyBytesMax - 1] = index
        return key
      })
      const keys = [Buffer.from([0, 0, 0]), Buffer.from([255, 255, 255]), ...long]
      await tier.save(
        keys.map((key, index) => ({ key, record: Buffer.from([index]), version: 1n, expiresAt: 0 })),
      )
      const found = await tier.load(keys)
      assert.deepEqual(
        found.map((entry) => entry?.record[0]),
        keys.map((_, index) => index),
      )
      assert.equal((await scanAll(tier, everything)).length, keys.length)
      for (const key of [Buffer.alloc(0), Buffer.alloc(2), Buffer.alloc(tierKeyBytesMax + 1)]) {
        const entry = { key, record: Buffer.alloc(0), version: 1n, expiresAt: 0 }
        await rejects('ERR_RAMCACHE_KEY', () => tier.save([entryOf('fine', 1n), entry]))
        await rejects('ERR_RAMCACHE_KEY', () => tier.load([key]))
        await rejects('ERR_RAMCACHE_KEY', () => tier.drop([{ key, version: 1n }]))
      }
      assert.deepEqual(await textOf(tier, 'fine'), [undefined])
    },
  },
  {
    name: 'lets the version decide, not the order of saves',
    async run({ tier }) {
      const high = 0x8000_0000_0000_0000n
      await tier.save([entryOf('k', 5n)])
      await tier.save([entryOf('k', 4n)])
      assert.deepEqual(await textOf(tier, 'k'), ['k@5'])
      await tier.save([entryOf('k', 0x1_0000_0000n)])
      await tier.save([entryOf('k', 0xffff_ffffn)])
      assert.deepEqual(await textOf(tier, 'k'), [`k@${0x1_0000_0000n}`])
      await tier.save([entryOf('k', high)])
      await tier.save([entryOf('k', high - 1n)])
      assert.deepEqual(await textOf(tier, 'k'), [`k@${high}`])
    },
  },
  {
    name: 'takes the newest of a key that is twice in a batch',
    async run({ tier }) {
      await tier.save([
        entryOf('a', 2n),
        entryOf('b', 1n),
        entryOf('a', 3n),
        entryOf('a', 1n),
        entryOf('b', 2n),
      ])
      assert.deepEqual(await textOf(tier, 'a', 'b'), ['a@3', 'b@2'])
      assert.equal((await tier.stats()).entries, 2)
    },
  },
  {
    name: 'does not mind a save that comes again',
    async run({ tier }) {
      const batch = [entryOf('a', 1n), entryOf('b', 1n)]
      await tier.save(batch)
      const before = await tier.stats()
      await tier.save(batch)
      assert.deepEqual(await tier.stats(), before)
      assert.deepEqual(await textOf(tier, 'a', 'b'), ['a@1', 'b@1'])
    },
  },
  {
    name: 'drops up to a version and leaves what is newer',
    async run({ tier }) {
      await tier.save([entryOf('a', 5n), entryOf('b', 5n), entryOf('c', 5n)])
      await tier.drop([
        { key: keyOf('a'), version: 4n },
        { key: keyOf('b'), version: 5n },
        { key: keyOf('c'), version: 6n },
        { key: keyOf('never saved'), version: 9n },
      ])
      assert.deepEqual(await textOf(tier, 'a', 'b', 'c'), ['a@5', undefined, undefined])
      await tier.drop([
        { key: keyOf('a'), version: 1n },
        { key: keyOf('a'), version: 5n },
      ])
      assert.equal((await tier.stats()).entries, 0)
      await tier.save([entryOf('b', 1n)])
      assert.deepEqual(await textOf(tier, 'b'), ['b@1'])
    },
  },
  {
    name: 'applies writes in the order of their calls',
    async run({ tier }) {
      const saved = tier.save([entryOf('k', 1n)])
      const dropped = tier.drop([{ key: keyOf('k'), version: 1n }])
      const again = tier.save([entryOf('k', 1n, 'again')])
      await Promise.all([saved, dropped, again])
      assert.deepEqual(await textOf(tier, 'k'), ['again'])
    },
  },
  {
    name: 'keeps what was saved when the caller uses its buffers again',
    async run({ tier }) {
      const entry = entryOf('k', 1n)
      await tier.save([entry])
      const name = Buffer.from(entry.key)
      entry.key.fill(0)
      entry.record.fill(0)
      const [first] = await tier.load([name])
      first?.record.fill(1)
      assert.deepEqual(await textOf(tier, 'k'), ['k@1'])
      assert.deepEqual(
        (await scanAll(tier, everything)).map(({ key }) => key),
        [name],
      )
    },
  },
  {
    name: 'counts entries and the bytes of their keys and records',
    async run({ tier }) {
      assert.deepEqual(await tier.stats(), { entries: 0, bytes: 0 })
      await tier.save([entryOf('a', 1n, '12345'), entryOf('bb', 1n, '')])
      assert.deepEqual(await tier.stats(), { entries: 2, bytes: 3 + 5 + 4 })
      await tier.save([entryOf('a', 2n, '1')])
      assert.deepEqual(await tier.stats(), { entries: 2, bytes: 3 + 1 + 4 })
      await tier.drop([{ key: keyOf('a'), version: 2n }])
      assert.deepEqual(await tier.stats(), { entries: 1, bytes: 4 })
    },
  },
  {
    name: 'takes empty batches',
    async run({ tier }) {
      await tier.save([])
      await tier.drop([])
      assert.deepEqual(await tier.stats(), { entries: 0, bytes: 0 })
    },
  },
  {
    name: 'refuses everything once it is closed',
    async run({ tier }) {
      await tier.save([entryOf('k', 1n)])
      await tier.close()
      await tier.close()
      await rejects('ERR_RAMCACHE_CLOSED', () => tier.load([keyOf('k')]))
      await rejects('ERR_RAMCACHE_CLOSED', () => tier.save([entryOf('k', 2n)]))
      await rejects('ERR_RAMCACHE_CLOSED', () => tier.drop([{ key: keyOf('k'), version: 1n }]))
      await rejects('ERR_RAMCACHE_CLOSED', () => tier.scan(everything, undefined, 1))
      await rejects('ERR_RAMCACHE_CLOSED', () => tier.stats())
    },
  },
  {
    name: 'can be opened twice, and again after it was closed',
    async run({ tier }) {
      await tier.save([entryOf('k', 1n)])
      await tier.open()
      assert.deepEqual(await textOf(tier, 'k'), ['k@1'])
      await tier.close()
      await tier.open()
      assert.deepEqual(await textOf(tier, 'k'), ['k@1'])
    },
  },
  {
    name: 'finishes the writes that were begun before it closes',
    async run(context) {
      const writes = Array.from({ length: 20 }, (_, index) => context.tier.save([entryOf(`k${index}`, 1n)]))
      await context.reopen()
      await Promise.all(writes)
      assert.equal((await context.tier.stats()).entries, 20)
    },
  },
]
