import { Packr } from 'msgpackr'
import { describe, expect, it } from 'vitest'
import type { RamcacheError } from '../../src/base/errors.ts'
import { Prng } from '../../src/base/prng.ts'
import { ValueType } from '../../src/codec/bytes.ts'
import { structureCountMax, structureTableBytesMax } from '../../src/codec/structures.ts'
import { ValueCodec } from '../../src/codec/value.ts'
import { MemoryStructureStore } from '../support/structure-stores.ts'

interface Stored {
  readonly type: number
  readonly bytes: Buffer
}

function encode(codec: ValueCodec, value: unknown): Stored {
  const { type, bytes } = codec.encode(value)
  return { type, bytes: Buffer.from(bytes) }
}

function decode(codec: ValueCodec, { type, bytes }: Stored): unknown {
  return codec.decode(type, bytes, 0, bytes.length)
}

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    return (error as RamcacheError).code
  }
  return 'nothing was thrown'
}

const shape = (number: number) => ({
  id: number,
  [`name${number}`]: 'x',
  nested: { [`of${number}`]: [number] },
})

describe('sharing', () => {
  it('begins with the second message of a shape, and is smaller', () => {
    const store = new MemoryStructureStore()
    const codec = new ValueCodec(store)
    const first = encode(codec, shape(1))
    expect(first.type).toBe(ValueType.selfContainedObject)
    expect(store.table).toBe(undefined)
    const second = encode(codec, shape(1))
    expect(second.type).toBe(ValueType.sharedObject)
    expect(second.bytes.length).toBeLessThan(first.bytes.length)
    expect(store.table?.toString()).toBe('ramcache-structures 1\n["id","name1","nested"]\n["of1"]\n')
    for (const stored of [first, second]) expect(decode(codec, stored)).toEqual(shape(1))
  })

  it('stores a structure before the first message that uses it is handed out, once', () => {
    const store = new MemoryStructureStore()
    const codec = new ValueCodec(store)
    for (let round = 0; round < 10; round++) {
      const stored = encode(codec, shape(1))
      expect(decode(new ValueCodec(store), stored)).toEqual(shape(1))
    }
    expect(store.saves).toBe(1)
  })

  it('is taken up at once by a codec that comes later', () => {
    const store = new MemoryStructureStore()
    const early = new ValueCodec(store)
    encode(early, shape(1))
    encode(early, shape(1))
    const late = new ValueCodec(store)
    expect(decode(late, encode(early, shape(1)))).toEqual(shape(1))
    expect(encode(late, shape(1)).type).toBe(ValueType.sharedObject)
    expect(store.saves).toBe(1)
  })

  it('never happens in self-contained messages', () => {
    const codec = new ValueCodec(new MemoryStructureStore())
    for (let round = 0; round < 3; round++) {
      encode(codec, shape(1))
      const { type, bytes } = codec.encodeSelfContained(shape(1))
      expect(type).toBe(ValueType.selfContainedObject)
      expect(new ValueCodec().decode(type, bytes, 0, bytes.length)).toEqual(shape(1))
    }
  })

  it('leaves out dictionaries, whose names are data', () => {
    const store = new MemoryStructureStore()
    const codec = new ValueCodec(store)
    const dictionary = Object.fromEntries(Array.from({ length: 65 }, (_, n) => [`user${n}`, n]))
    for (let round = 0; round < 3; round++) {
      expect(decode(codec, encode(codec, { rows: [dictionary] }))).toEqual({ rows: [dictionary] })
    }
    expect(store.table).toBe(undefined)
  })

  it('leaves out names that come only once', () => {
    const store = new MemoryStructureStore()
    const codec = new ValueCodec(store)
    for (let round = 0; round < 3; round++) {
      const value = { rows: [{ [`user${round}`]: { id: 1 } }, { [`user${round}`]: { id: 2 } }] }
      expect(decode(codec, encode(codec, value))).toEqual(value)
    }
    expect(store.table?.toString()).toBe('ramcache-structures 1\n["rows"]\n["id"]\n')
  })

  it('goes together with shapes that only one message has, more than it can number', () => {
    const store = new MemoryStructureStore()
    const codec = new ValueCodec(store)
    for (let count = 1; count < 130; count += 3) {
      // Each size of the table around the numbers of one and of two bytes.
      for (let round = 0; round < 2; round++) encode(codec, shape(count))
      const own = Array.from({ length: 80 }, (_, n) => ({ [`own${count}of${n % 40}`]: n }))
      const value = [shape(count), own, Buffer.from('b'), own, shape(count), {}]
      const stored = encode(codec, value)
      expect(stored.type).toBe(ValueType.sharedObject)
      for (const reader of [codec, codec, new ValueCodec(store)]) {
        const decoded = decode(reader, stored) as unknown[]
        expect(decoded).toEqual(value)
        expect(Buffer.isBuffer(decoded[2])).toBe(true)
      }
    }
  })

  it('keeps nothing of a value that is refused', () => {
    const store = new MemoryStructureStore()
    const codec = new ValueCodec(store)
    encode(codec, { a: 1 })
    expect(codeOf(() => codec.encode([{ a: 1 }, undefined]))).toBe('ERR_RAMCACHE_VALUE')
    expect(store.table).toBe(undefined)
    expect(decode(codec, encode(codec, [{ a: 2 }]))).toEqual([{ a: 2 }])
  })
})

describe('several codecs on one table', () => {
  it('converge when they race for the same number', () => {
    const store = new MemoryStructureStore()
    const [left, right] = [new ValueCodec(store), new ValueCodec(store)]
    for (const codec of [left, right]) for (const number of [1, 2]) encode(codec, shape(number))
    let fromRight: Stored | undefined
    store.beforeSave = () => {
      fromRight = encode(right, shape(2))
    }
    const fromLeft = encode(left, shape(1))
    expect(store.saves).toBe(3)
    for (const codec of [left, right, new ValueCodec(store)]) {
      expect(decode(codec, fromLeft)).toEqual(shape(1))
      expect(decode(codec, fromRight as Stored)).toEqual(shape(2))
    }
  })

  it('stay right when a getter reads what the winner of the race wrote', () => {
    const store = new MemoryStructureStore()
    const [left, right] = [new ValueCodec(store), new ValueCodec(store)]
    for (const codec of [left, right]) for (const number of [1, 2]) encode(codec, shape(number))
    const value = {
      ...shape(1),
      get winner() {
        return decode(left, encode(right, shape(2)))
      },
    }
    encode(left, value)
    const stored = encode(left, value)
    expect(decode(right, stored)).toEqual({ ...shape(1), winner: shape(2) })
  })

  it('give up sharing, not the value, when every save is lost', () => {
    const store = new MemoryStructureStore()
    store.save = () => false
    const codec = new ValueCodec(store)
    encode(codec, shape(1))
    const stored = encode(codec, shape(1))
    expect(stored.type).toBe(ValueType.selfContainedObject)
    expect(decode(codec, stored)).toEqual(shape(1))
  })

  it('let errors of the store through, and go on afterwards', () => {
    const store = new MemoryStructureStore()
    const codec = new ValueCodec(store)
    encode(codec, shape(1))
    store.beforeSave = () => {
      throw new Error('no room')
    }
    expect(() => codec.encode(shape(1))).toThrow('no room')
    expect(decode(new ValueCodec(store), encode(codec, shape(1)))).toEqual(shape(1))
  })
})

it('takes 3,000 shapes from two codecs at once, and goes on beyond the limit', { timeout: 120_000 }, () => {
  const store = new MemoryStructureStore()
  const writers = [new ValueCodec(store), new ValueCodec(store)]
  const prng = new Prng(7)
  const written: [number, Stored][] = []
  // Each writer meets each shape a few times, in its own order, interleaved with the other.
  const turns = Array.from({ length: 12_000 }, (_, turn) => turn % 3000)
  for (const number of prng.shuffle(turns)) {
    written.push([number, encode(prng.pick(writers), shape(number))])
    if (prng.chance(0.05)) {
      const other = prng.below(3000)
      store.beforeSave = () => {
        written.push([other, encode(new ValueCodec(store), shape(other))])
      }
    }
  }
  const late = new ValueCodec(store)
  const types = new Set<number>()
  for (const [number, stored] of written) {
    types.add(stored.type)
    for (const codec of [...writers, late]) expect(decode(codec, stored)).toEqual(shape(number))
  }
  expect([...types].sort()).toEqual([ValueType.sharedObject, ValueType.selfContainedObject])
  const lines = (store.table as Buffer).toString().split('\n').slice(1, -1)
  expect(new Set(lines).size).toBe(lines.length)
  expect(lines.length).toBe(structureCountMax)
})

it('stops at the limit of bytes too', () => {
  const store = new MemoryStructureStore()
  const codec = new ValueCodec(store)
  for (let number = 0; number < 200; number++) {
    const value = { [`${'long'.repeat(500)}${number}`]: number }
    for (let round = 0; round < 2; round++) expect(decode(codec, encode(codec, value))).toEqual(value)
  }
  expect((store.table as Buffer).length).toBeLessThanOrEqual(structureTableBytesMax)
  expect((store.table as Buffer).length).toBeGreaterThan(structureTableBytesMax * 0.9)
})

describe('damage', () => {
  const store = new MemoryStructureStore()
  const codec = new ValueCodec(store)
  encode(codec, [shape(1), shape(1)])
  const stored = encode(codec, [
    shape(1),
    shape(1),
    { text: 'é', when: new Date(5), set: new Set([1n, 2n ** 80n]) },
  ])

  it('in a message is refused or gives some other value, but nothing else', () => {
    for (let at = 0; at < stored.bytes.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const damaged = Buffer.from(stored.bytes)
        damaged[at] = (damaged[at] as number) ^ (1 << bit)
        expect(['ERR_RAMCACHE_CORRUPT', 'nothing was thrown']).toContain(
          codeOf(() => decode(codec, { type: stored.type, bytes: damaged })),
        )
      }
    }
  })

  it('by cutting a message off is refused', () => {
    for (let length = 0; length < stored.bytes.length; length++) {
      const cut = { type: stored.type, bytes: stored.bytes.subarray(0, length) }
      expect(codeOf(() => decode(codec, cut))).toBe('ERR_RAMCACHE_CORRUPT')
      // What follows in memory must not be taken for the rest.
      expect(codeOf(() => codec.decode(stored.type, stored.bytes, 0, length))).toBe('ERR_RAMCACHE_CORRUPT')
    }
  })

  it('by random bytes is refused or decoded, and never runs away', () => {
    const prng = new Prng(11)
    for (let round = 0; round < 3000; round++) {
      const bytes = Buffer.from(Array.from({ length: 1 + prng.below(60) }, () => prng.below(256)))
      expect(['ERR_RAMCACHE_CORRUPT', 'nothing was thrown']).toContain(
        codeOf(() => decode(codec, { type: 8, bytes })),
      )
    }
  })

  it('of false counts claims no memory', () => {
    for (const head of ['dd40000000', 'df40000000', 'c640000000', 'db40000000', 'c94000000074', 'd67240ff']) {
      const bytes = Buffer.from(`${head}000000`, 'hex')
      expect(codeOf(() => decode(codec, { type: 9, bytes }))).toBe('ERR_RAMCACHE_CORRUPT')
    }
  })

  it('of the number of structures is refused', () => {
    const bytes = Buffer.from(stored.bytes)
    bytes[1] = 0xff
    expect(codeOf(() => decode(codec, { type: stored.type, bytes }))).toBe('ERR_RAMCACHE_CORRUPT')
    expect(decode(codec, stored)).toHaveLength(3)
  })

  it('a structure that is in no table is an error, not a number', () => {
    const alone = new ValueCodec(new MemoryStructureStore())
    expect(codeOf(() => decode(alone, stored))).toBe('ERR_RAMCACHE_CORRUPT')
    expect(codeOf(() => decode(new ValueCodec(), stored))).toBe('ERR_RAMCACHE_CORRUPT')
  })

  it.each([
    ['another format', 'something else\n["a"]\n'],
    ['a cut line', 'ramcache-structures 1\n["id","na'],
    ['no list', 'ramcache-structures 1\n{"a":1}\n'],
    ['no names', 'ramcache-structures 1\n[1]\n'],
    ['nothing', ''],
  ])('of the table: %s', (_, text) => {
    const damaged = new MemoryStructureStore()
    damaged.save(Buffer.from(text), undefined)
    expect(codeOf(() => decode(new ValueCodec(damaged), stored))).toBe('ERR_RAMCACHE_CORRUPT')
  })

  it('a table that is replaced by another one is refused', () => {
    const replaced = new MemoryStructureStore()
    const reader = new ValueCodec(replaced)
    const writer = new ValueCodec(replaced)
    encode(writer, { a: 1 })
    expect(decode(reader, encode(writer, { a: 1 }))).toEqual({ a: 1 })
    replaced.save(Buffer.from('ramcache-structures 1\n["b"]\n["c"]\n'), replaced.table)
    const other = new ValueCodec(replaced)
    expect(codeOf(() => decode(reader, encode(other, { c: 1 })))).toBe('ERR_RAMCACHE_CORRUPT')
  })
})

it('refuses a clone that is damaged or cut off', () => {
  const codec = new ValueCodec()
  const cloned = encode(codec, [-0, { text: 'é', when: new Date(5), of: [Buffer.from('abc'), 2n ** 80n] }])
  expect(cloned.type).toBe(ValueType.clonedObject)
  for (let at = 0; at < cloned.bytes.length; at++) {
    const cut = { type: cloned.type, bytes: cloned.bytes.subarray(0, at) }
    expect(codeOf(() => decode(codec, cut))).toBe('ERR_RAMCACHE_CORRUPT')
    const damaged = { type: cloned.type, bytes: Buffer.from(cloned.bytes) }
    damaged.bytes[at] = 0xff ^ (cloned.bytes[at] as number)
    expect(['ERR_RAMCACHE_CORRUPT', 'nothing was thrown']).toContain(codeOf(() => decode(codec, damaged)))
  }
})

it('leaves what the program itself packs with msgpackr alone', () => {
  const packr = new Packr({ structures: [] })
  const codec = new ValueCodec(new MemoryStructureStore())
  const kept: [Buffer, object][] = []
  for (let round = 0; round < 200; round++) {
    const value = { round, text: 'x'.repeat(round) }
    expect(decode(codec, encode(codec, value))).toEqual(value)
    kept.push([packr.pack(value), value])
    expect(decode(codec, encode(codec, [value, 'y'.repeat(round % 7 === 0 ? 2_000_000 : 10)]))).toHaveLength(
      2,
    )
  }
  for (const [bytes, value] of kept) expect(packr.unpack(bytes)).toEqual(value)
  // Also in the middle of packing, and with values that are large.
  for (const length of [10, 3_000_000]) {
    const inner = { text: 'z'.repeat(length) }
    class Nested {
      toJSON() {
        return decode(codec, encode(codec, inner))
      }
    }
    expect(packr.unpack(packr.pack(new Nested()))).toEqual(inner)
    const outer = [{ a: 1 }, new Nested(), { b: 2 }]
    expect(packr.unpack(packr.pack(outer))).toEqual([{ a: 1 }, inner, { b: 2 }])
  }
})

describe('values that are not objects', () => {
  it.each([
    ['a number of 7 bytes', ValueType.number, 7],
    ['a bigint of none', ValueType.bigint, 0],
    ['a constant of 2', ValueType.constant, 2],
    ['a typed array of none', ValueType.typedArray, 0],
    ['type 0', 0, 3],
    ['a reserved type', 12, 3],
  ])('%s is refused', (_, type, length) => {
    expect(codeOf(() => new ValueCodec().decode(type, Buffer.alloc(20), 2, 2 + length))).toBe(
      'ERR_RAMCACHE_CORRUPT',
    )
  })

  it('of unknown class or with half an element are refused', () => {
    for (const bytes of [
      [4, 1, 2, 3],
      [11, 1],
      [99, 1],
    ]) {
      expect(codeOf(() => decode(new ValueCodec(), { type: 7, bytes: Buffer.from(bytes) }))).toBe(
        'ERR_RAMCACHE_CORRUPT',
      )
    }
    expect(codeOf(() => decode(new ValueCodec(), { type: 5, bytes: Buffer.from([3]) }))).toBe(
      'ERR_RAMCACHE_CORRUPT',
    )
  })
})
