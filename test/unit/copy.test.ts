import fc from 'fast-check'
import { expect, it } from 'vitest'
import { copierOf } from '../../src/codec/copy.ts'

/** What JSON can say, with the rest of what needs no copying. */
const { tree } = fc.letrec((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small' },
    fc.string(),
    fc.double(),
    fc.constantFrom(null, true, 5n, undefined),
    fc.array(tie('tree')),
    fc.dictionary(
      fc.string().filter((name) => name !== '__proto__'),
      tie('tree'),
      { noNullPrototype: true },
    ),
  ),
}))

/** Every array and object in it. */
function insides(value: unknown): object[] {
  if (typeof value !== 'object' || value === null) return []
  return [value, ...Object.values(value).flatMap(insides)]
}

it('a copy is equal, and shares no array or object', () => {
  fc.assert(
    fc.property(tree, (value) => {
      const copier = copierOf(value)
      if (typeof value !== 'object' || value === null) {
        expect(copier).toBeUndefined()
        return
      }
      for (const copy of [copier?.(value), copier?.(value)]) {
        expect(copy).toStrictEqual(value)
        const own = new Set(insides(value))
        expect(insides(copy).some((inside) => own.has(inside))).toBe(false)
      }
    }),
  )
})

it('a copier made for one value is right for others of the same names', () => {
  const copier = copierOf([{ a: { b: [1] } }, { a: { b: [2] } }])
  expect(copierOf([{ a: { b: ['x', 'y'] } }])).toBe(copier)
  expect(copierOf([{ a: { b: 'x' } }])).not.toBe(copier)
  expect(copierOf({ a: 1, b: [2] })).not.toBe(copierOf({ a: [2], b: 1 }))
  const other = [{ a: { b: ['x', 'y'] } }, { a: { b: [] } }, { a: { b: [null] } }]
  expect(copier?.(other)).toStrictEqual(other)
})

it('copies on when there are more shapes than have functions of their own', () => {
  const copiers = new Set()
  for (let index = 0; index < 3000; index++) {
    const value = { [`name ${index}`]: { index, list: [{ index }, index] } }
    const copier = copierOf(value)
    copiers.add(copier)
    const copy = copier?.(value)
    expect(copy).toStrictEqual(value)
    expect(insides(copy).some((inside) => insides(value).includes(inside))).toBe(false)
  }
  expect(copiers.size).toBeLessThan(1500)
})

it('a copy of what is frozen is not', () => {
  const value = Object.freeze({ list: Object.freeze([Object.freeze({ a: 1 })]) })
  const copy = copierOf(value)?.(value)
  expect(insides(copy).some(Object.isFrozen)).toBe(false)
})

it('what takes more than members to copy has no copier', () => {
  class Point {}
  const values = [new Date(0), Buffer.from('x'), new Uint8Array(1), new Map(), new Set(), new Point()]
  for (const value of [...values, Object.create(null), JSON.parse('{"__proto__":1}')]) {
    expect(copierOf(value)).toBeUndefined()
    expect(copierOf([{ value }])).toBeUndefined()
  }
  const twice = { a: 1 }
  expect(copierOf([twice, { twice }])).toBeUndefined()
})
