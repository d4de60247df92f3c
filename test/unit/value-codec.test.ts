import { isDeepStrictEqual } from 'node:util'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { Packr } from 'msgpackr'
import { describe, expect, it } from 'vitest'
import { RamcacheError } from '../../src/base/errors.ts'
import { depthMax, ValueType } from '../../src/codec/bytes.ts'
import { ValueCodec } from '../../src/codec/value.ts'
import { MemoryStructureStore } from '../support/structure-stores.ts'

/** Through bytes that begin at an odd place among other bytes, as they do in scratch memory. */
function roundTrip(codec: ValueCodec, value: unknown): unknown {
  const { type, bytes } = codec.encode(value)
  const source = Buffer.alloc(bytes.length + 10, 0x41)
  source.set(bytes, 3)
  const decoded = codec.decode(type, source, 3, 3 + bytes.length)
  source.fill(0xff)
  return decoded
}

function refusal(value: unknown): RamcacheError {
  try {
    new ValueCodec().encode(value)
  } catch (error) {
    expect(error).toBeInstanceOf(RamcacheError)
    expect((error as RamcacheError).code).toBe('ERR_RAMCACHE_VALUE')
    return error as RamcacheError
  }
  throw new Error('it was not refused')
}

const wellFormed = fc.string({ unit: 'grapheme' })
const bytes = fc.uint8Array({ maxLength: 40 })
const leaf = fc.oneof(
  wellFormed,
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.double(),
  fc.integer(),
  fc.constantFrom(0, -0, 63, 64, 127, 128, 255, 256, 65535, 65536, 2 ** 32, -32, -33, -128, -129, -32769),
  fc.boolean(),
  fc.constant(null),
  fc.bigInt(),
  fc.bigInt({ min: -(2n ** 200n), max: 2n ** 200n }),
  // `isDeepStrictEqual` of Node 20 says that two invalid dates differ; there is a test of its own for them.
  fc.date({ noInvalidDate: true }),
  bytes,
  bytes.map((part) => Buffer.from(part)),
  bytes.map((part) => part.buffer.slice(0, part.length)),
  bytes.map((part) => new DataView(part.buffer.slice(0, part.length))),
  fc.float64Array(),
  fc.int16Array(),
  fc.bigUint64Array(),
)
const key = fc.oneof(
  wellFormed,
  fc.constantFrom('__proto__', 'constructor', 'hasOwnProperty', 'toJSON', '0', '-1', '__keys__', ''),
)

const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    leaf,
    fc.array(tie('value'), { maxLength: 20 }),
    fc.array(fc.tuple(key, tie('value')), { maxLength: 20 }).map((fields) => Object.fromEntries(fields)),
    fc.array(fc.tuple(key, tie('value')), { maxLength: 5 }).map(withoutPrototype),
    fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 5 }).map((entries) => new Map(entries)),
    fc.array(tie('value'), { maxLength: 5 }).map((elements) => new Set(elements)),
  ),
}))

const anything: fc.Arbitrary<unknown> = value

function withoutPrototype(fields: [string, unknown][]): object {
  const object = Object.create(null)
  for (const [name, value] of fields) object[name] = value
  return object
}

describe('round trips', () => {
  it('gives back what was stored, whatever it was', () => {
    const shared = new ValueCodec(new MemoryStructureStore())
    const alone = new ValueCodec()
    fc.assert(
      fc.property(anything, (value) => {
        // The second time known shapes are shared.
        for (const codec of [shared, shared, alone])
          expect(isDeepStrictEqual(roundTrip(codec, value), value)).toBe(true)
      }),
      { numRuns: 300 },
    )
  })

  it.each<[string, unknown, number]>([
    ['an empty string', '', ValueType.ascii],
    ['ASCII', 'plain', ValueType.ascii],
    ['digits, which stay a string', '007', ValueType.ascii],
    ['Latin 1', 'café', ValueType.utf8],
    ['an emoji', '👋🏽', ValueType.utf8],
    ['a long string', 'x'.repeat(100_000), ValueType.ascii],
    ['a long string that is not ASCII', 'né'.repeat(50_000), ValueType.utf8],
    ['zero', 0, ValueType.number],
    ['minus zero', -0, ValueType.number],
    ['not a number', Number.NaN, ValueType.number],
    ['infinity', Number.NEGATIVE_INFINITY, ValueType.number],
    ['a fraction', 0.1, ValueType.number],
    ['null', null, ValueType.constant],
    ['false', false, ValueType.constant],
    ['true', true, ValueType.constant],
    ['a bigint', 0n, ValueType.bigint],
    ['a bigint of one byte', -128n, ValueType.bigint],
    ['a bigint of two bytes', 128n, ValueType.bigint],
    ['a large bigint', -(3n ** 300n), ValueType.bigint],
    ['a Buffer', Buffer.from([1, 2, 255]), ValueType.bytes],
    ['an empty Buffer', Buffer.alloc(0), ValueType.bytes],
    ['a Uint8Array', Uint8Array.of(1, 2), ValueType.typedArray],
    ['floats', Float32Array.of(1.5, -0), ValueType.typedArray],
    ['bigints in an array', BigInt64Array.of(-1n), ValueType.typedArray],
    ['an ArrayBuffer', new ArrayBuffer(5), ValueType.typedArray],
    ['a DataView', new DataView(new ArrayBuffer(6), 2), ValueType.typedArray],
    ['a large typed array', new Uint16Array(200_000).fill(7), ValueType.typedArray],
    ['a date', new Date(1), ValueType.selfContainedObject],
    ['minus zero inside', [-0, { at: -0 }], ValueType.clonedObject],
    ['an array of more than 65,535', new Array(70_000).fill(1), ValueType.selfContainedObject],
    ['a large map', new Map(Array.from({ length: 70_000 }, (_, n) => [n, n])), ValueType.selfContainedObject],
    [
      'an object of many fields',
      Object.fromEntries(Array.from({ length: 70_000 }, (_, n) => [`f${n}`, n])),
      ValueType.clonedObject,
    ],
    ['an object of 64 fields', fields(64), ValueType.selfContainedObject],
    ['an object of 65 fields', [fields(65)], ValueType.clonedObject],
    ['names msgpackr would change', [JSON.parse('{"__proto__":{"a":1}}'), { __keys__: [1] }], 10],
    ['a byte order mark', { text: `\ufeff${'é'.repeat(50)}` }, 10],
    ['a byte order mark in a name', { [`\ufeff${'é'.repeat(50)}`]: 1 }, 10],
    ['bytes of every class in a clone', [-0, Buffer.from('ab'), ...byteValues()], ValueType.clonedObject],
    ['bytes of every class', [Buffer.from('ab'), ...byteValues()], ValueType.selfContainedObject],
    ['names that methods have', [{ constructor: null, toJSON: 1, hasOwnProperty: 2, size: 3 }], 9],
    ['bigints of all sizes', [1n, -(2n ** 63n), 2n ** 64n - 1n, -(2n ** 64n), 3n ** 50_000n], 9],
    ['dates', [-1, 0, 999, 1000.5, 2 ** 42, 8.64e15, -8.64e15].map((ms) => new Date(ms)), 9],
    ['a long string inside', { a: 'é'.repeat(3000), b: 'x'.repeat(70_000), c: 'short' }, 9],
    [
      'many short strings',
      Array.from({ length: 5000 }, (_, n) => ({ a: `row ${n}`, b: `né ${'漢'.repeat(n % 50)}` })),
      9,
    ],
    [
      'many long strings',
      Array.from({ length: 50 }, (_, n) => ['y'.repeat(4000 + n), 'ü👋'.repeat(1300 + n)]),
      9,
    ],
    ['a large Buffer inside', { a: Buffer.alloc(300_000, 7), b: new Uint8Array(300_000) }, 9],
    [
      'more shapes than a message can number',
      Array.from({ length: 300 }, (_, n) => ({ [`k${n % 100}`]: n })),
      9,
    ],
    ['the same object twice', ((one) => [one, one, { one }])({ id: 1 }), 9],
  ])('%s', (_, value, type) => {
    const codec = new ValueCodec()
    expect(codec.encode(value).type).toBe(type)
    const decoded = roundTrip(codec, value)
    expect(isDeepStrictEqual(decoded, value)).toBe(true)
    if (typeof value === 'object' && value !== null) expect(decoded === value).toBe(false)
  })

  it('keeps what has no prototype, and what has one beside it', () => {
    const value = withoutPrototype([
      ['a', [{ b: withoutPrototype([]) }, new Map([[withoutPrototype([['c', 1]]), {}]])]],
      ['__proto__', withoutPrototype([])],
    ])
    for (const codec of [new ValueCodec(), new ValueCodec(new MemoryStructureStore())]) {
      for (const whole of [value, [value]]) {
        expect(isDeepStrictEqual(roundTrip(codec, whole), whole)).toBe(true)
      }
    }
  })

  it('keeps the order of keys, of map entries and of set elements', () => {
    const value = {
      b: 1,
      a: new Map([
        ['z', 1],
        ['y', 2],
      ] as const),
      1: new Set(['q', 'p']),
    }
    const decoded = roundTrip(new ValueCodec(), value) as typeof value
    expect(Object.keys(decoded)).toEqual(['1', 'b', 'a'])
    expect([...decoded.a.keys()]).toEqual(['z', 'y'])
    expect([...decoded[1]]).toEqual(['q', 'p'])
  })

  it('keeps an invalid date', () => {
    expect(roundTrip(new ValueCodec(), [new Date(Number.NaN)])).toEqual([new Date(Number.NaN)])
  })

  it('does not pollute prototypes', () => {
    const codec = new ValueCodec(new MemoryStructureStore())
    const value = JSON.parse('{"__proto__":{"polluted":1},"a":1}')
    // Often enough for every form of reader.
    for (let round = 0; round < 40; round++) {
      const decoded = roundTrip(codec, value) as Record<string, unknown>
      expect(Object.getPrototypeOf(decoded)).toBe(Object.prototype)
      expect(Object.keys(decoded)).toEqual(['__proto__', 'a'])
      expect(decoded.polluted).toBe(undefined)
    }
  })

  it('reads the same bytes as msgpackr does', () => {
    const packr = new Packr({ structures: [], mapsAsObjects: false, copyBuffers: true, moreTypes: true })
    const own = anything.filter((value) => typeof value === 'object' && value !== null)
    fc.assert(
      fc.property(own, (value) => {
        const { type, bytes } = new ValueCodec().encode(value)
        if (type !== ValueType.selfContainedObject) return
        expect(isDeepStrictEqual(packr.unpack(Buffer.from(bytes)), value)).toBe(true)
      }),
      { numRuns: 300 },
    )
  })
})

function fields(count: number): object {
  return Object.fromEntries(Array.from({ length: count }, (_, n) => [`f${n}`, n]))
}

function byteValues(): unknown[] {
  const { buffer } = Uint8Array.from({ length: 24 }, (_, n) => n * 9)
  const small = [Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array]
  const large = [Float32Array, Float64Array, BigInt64Array, BigUint64Array]
  const arrays = [...small, ...large].map((Class) => new Class(buffer, 8, 2))
  return [...arrays, new DataView(buffer, 3, 5), buffer.slice(1, 4), new Uint8Array(0)]
}

describe('decoded bytes', () => {
  it('never share memory with their source', () => {
    const codec = new ValueCodec()
    const value = {
      a: Buffer.from('abc'),
      b: Uint8Array.of(1),
      c: new DataView(new ArrayBuffer(2)),
      d: 'text',
    }
    for (const part of [value, [-0, value], value.a, value.b, value.c]) {
      // `roundTrip` overwrites the source before it returns.
      expect(isDeepStrictEqual(roundTrip(codec, part), part)).toBe(true)
    }
  })

  it('never share memory with each other', () => {
    for (const zero of [0, -0]) {
      const value = [zero, new Uint8Array(2), new Uint8Array(3), new Float64Array(1)]
      const [, ...arrays] = roundTrip(new ValueCodec(), value) as [number, ...Uint8Array[]]
      expect(arrays.map((array) => array.buffer.byteLength)).toEqual([2, 3, 8])
    }
  })

  it('are stored as they were when set was called', () => {
    const shared = new Uint8Array(8)
    const codec = new ValueCodec()
    const { type, bytes } = codec.encode({ shared })
    const copy = Buffer.from(bytes)
    shared.fill(1)
    expect(codec.decode(type, copy, 0, copy.length)).toEqual({ shared: new Uint8Array(8) })
  })
})

class User {
  name = 'x'
}

describe('refusals name the path', () => {
  const cycle: Record<string, unknown> = { a: { b: [1] } }
  ;(cycle.a as { b: unknown[] }).b.push(cycle)
  const sparse = [1, 2, 3]
  delete sparse[1]

  it.each<[string, unknown, string]>([
    ['undefined', undefined, 'value is undefined'],
    ['a function', function named() {}, 'value is function named'],
    ['a symbol', Symbol('s'), 'value is Symbol(s)'],
    ['undefined in a field', { user: { name: undefined } }, 'value.user.name is undefined'],
    ['a hole', { list: sparse }, 'value.list[1] is undefined'],
    ['a method', { user: { roles: [1, 2, { fn() {} }] } }, 'value.user.roles[2].fn is function fn'],
    ['a symbol in an array', [Symbol('deep')], 'value[0] is Symbol(deep)'],
    ['a class instance', { 'odd key': new User() }, 'value["odd key"] is a User'],
    ['a promise', [Promise.resolve()], 'value[0] is a Promise'],
    ['a weak map', { w: new WeakMap() }, 'value.w is a WeakMap'],
    ['a subclass of Map', new (class Special extends Map {})(), 'value is a Special'],
    ['a subclass of Array', new (class List extends Array {})(), 'value is an array'],
    ['a subclass of Uint8Array', { b: new (class Bytes extends Uint8Array {})(2) }, 'value.b is a Bytes'],
    ['an error', { e: new TypeError('x') }, 'value.e is a TypeError'],
    ['a regular expression', /x/, 'value is a RegExp'],
    ['a boxed number', [Object(1)], 'value[0] is a Number'],
    ['a shared buffer', [new SharedArrayBuffer(1)], 'value[0] is a SharedArrayBuffer'],
    ['a false Date', Object.create(Date.prototype), 'value is a Date'],
    ['a map value', { m: new Map([['a', { x: undefined }]]) }, 'value.m.entries()[0][1].x is undefined'],
    [
      'a map key',
      new Map([
        [1, 1],
        [Symbol('k'), 2],
      ] as [unknown, number][]),
      'value.entries()[1][0] is Symbol(k)',
    ],
    ['a set element', { s: new Set([1, undefined]) }, 'value.s[1] is undefined'],
    ['a cycle', cycle, 'value.a.b[1] is value again'],
    ['half a surrogate pair', '\ud800', 'half a surrogate pair'],
    ['half a pair inside', { a: ['ok', 'x\udc00'] }, 'value.a[1] holds half a surrogate pair'],
    [
      'half a pair in a long string',
      { a: `${'x'.repeat(5000)}\ud800` },
      'value.a holds half a surrogate pair',
    ],
    ['half a pair in a key', { a: { '\ud800': 1 } }, 'value.a holds half a surrogate pair'],
    ['a throwing getter', { get x() { throw new Error('boom') } }, 'boom'], // biome-ignore format: one line each
  ])('%s', (_, value, message) => {
    expect(refusal(value).message).toContain(message)
    // The second attempt meets shapes the first one left behind.
    const codec = new ValueCodec(new MemoryStructureStore())
    expect(() => codec.encode(value)).toThrow(message)
    expect(() => codec.encode(value)).toThrow(message)
    expect(roundTrip(codec, { ok: 1 })).toEqual({ ok: 1 })
  })

  it('refuses nesting beyond the maximum, and takes what is just below', () => {
    const nested = (levels: number): unknown => (levels === 0 ? 1 : [nested(levels - 1)])
    expect(roundTrip(new ValueCodec(), nested(depthMax))).toEqual(nested(depthMax))
    expect(refusal(nested(depthMax + 1)).message).toContain(`maximum of ${depthMax}`)
  })
})

describe('values with a life of their own', () => {
  it('are read once', () => {
    let reads = 0
    const value = { get now() { return ++reads } } // biome-ignore format: one line
    expect(roundTrip(new ValueCodec(), value)).toEqual({ now: 1 })
  })

  it('meet nothing but the walk: no method of theirs is called', () => {
    const called = () => {
      throw new Error('called')
    }
    const date = Object.defineProperty(new Date(5), 'getTime', { value: called })
    const list = Object.defineProperty([1], 'toJSON', { value: called })
    const map = Object.defineProperty(new Map([[1, 2]]), 'constructor', { value: called })
    const object = Object.defineProperty({ a: 1 }, 'constructor', { value: called })
    const plain = [new Date(5), [1], new Map([[1, 2]]), { a: 1 }]
    expect(roundTrip(new ValueCodec(), [date, list, map, object])).toEqual(plain)
  })

  it('are read through a proxy once', () => {
    const reads: PropertyKey[] = []
    const get = (target: object, name: PropertyKey) => {
      reads.push(name)
      return Reflect.get(target, name)
    }
    const p = new Proxy({ a: 1, b: 2 }, { get })
    expect(roundTrip(new ValueCodec(), { p })).toEqual({ p: { a: 1, b: 2 } })
    expect(reads).toEqual(['a', 'b'])
  })

  it('may encode and decode other values while they are encoded', () => {
    const codec = new ValueCodec(new MemoryStructureStore())
    const inner = () => ({ shape: 1, of: { the: 'inner' } })
    const outer = (depth: number): object => ({
      before: { shape: 'one', of: 1 },
      get middle() {
        return depth === 0 ? 'end' : roundTrip(codec, outer(depth - 1))
      },
      get other() {
        return roundTrip(codec, inner())
      },
      after: [{ shape: 'one', of: 2 }, inner(), inner()],
    })
    const plain = (depth: number): object => ({
      before: { shape: 'one', of: 1 },
      middle: depth === 0 ? 'end' : plain(depth - 1),
      other: inner(),
      after: [{ shape: 'one', of: 2 }, inner(), inner()],
    })
    for (let round = 0; round < 4; round++) expect(roundTrip(codec, outer(3))).toEqual(plain(3))
  })

  it('may change while they are read, and are then refused', () => {
    const map = new Map<unknown, unknown>([
      ['a', { get x() { map.delete('b'); return 1 } }], // biome-ignore format: one line
      ['b', 2],
    ])
    expect(refusal({ map }).message).toContain('value.map is a Map that changed')
  })
})

it('takes plain objects and arrays of another realm', () => {
  const foreign = runInNewContext('({ a: [1, { b: 2 }] })')
  expect(roundTrip(new ValueCodec(), foreign)).toEqual({ a: [1, { b: 2 }] })
})
