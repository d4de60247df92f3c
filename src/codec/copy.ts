/**
 * Copies of one decoded value, far cheaper than decoding it again: strings in it are shared, as nobody can change them.
 *
 * An object is copied by `{ ...from }`, which V8 does as one block where a place in the code has seen one hidden class.
 * So each shape (the names of an object, and the shapes of the objects in it) has a function of its own, generated, as
 * msgpackr does for its records.
 */

/** A deep copy of a value of the shape it was made for. */
export type Copier = (value: unknown) => unknown

/** Shapes with a function of their own; in a store of more than these the others are copied member by member. */
const shapesMost = 1000

/** By what tells shapes apart: names as JSON, then the numbers of the shapes inside. */
const shapes = new Map<string, Shape>()

class Shape {
  readonly number: number
  readonly copier: Copier

  constructor(number: number, copier: Copier) {
    this.number = number
    this.copier = copier
  }
}

/**
 * How an array or plain object is copied; `undefined` for anything else, for what holds anything else (Buffers, typed
 * arrays, Dates, Maps, Sets), and for what holds the same object twice.
 */
export function copierOf(value: unknown): Copier | undefined {
  if (!isCopyable(value, new Set())) return undefined
  try {
    return shapeOf(value)?.copier ?? copyMembers
  } catch (error) {
    // Where code may not be made of strings.
    if (error instanceof EvalError) return copyMembers
    throw error
  }
}

function isCopyable(value: unknown, seen: Set<unknown>): value is object {
  if (typeof value !== 'object' || value === null || seen.has(value)) return false
  if (!Array.isArray(value)) {
    if (Object.getPrototypeOf(value) !== Object.prototype || Object.hasOwn(value, '__proto__')) return false
  }
  seen.add(value)
  return Object.values(value).every((member) => !isObject(member) || isCopyable(member, seen))
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

/** `undefined` for what is copied member by member. */
function shapeOf(value: object): Shape | undefined {
  if (Array.isArray(value)) return shapeOfArray(value)
  const inside: [name: string, shape: Shape][] = []
  for (const [name, member] of Object.entries(value)) {
    if (!isObject(member)) continue
    const shape = shapeOf(member)
    if (shape === undefined) return undefined
    inside.push([name, shape])
  }
  const names = Object.keys(value)
  const mark = JSON.stringify([names, ...inside.map(([name, { number }]) => [name, number])])
  return known(mark, () => {
    const parts = inside.map(([name], index) => {
      const member = `copy[${JSON.stringify(name)}]`
      return `${member} = copier${index}(${member})`
    })
    return generated(
      `(from) => { const copy = { ...from }; ${parts.join('; ')}; return copy }`,
      inside.map(([, { copier }]) => copier),
    )
  })
}

/** Of members that need no copies, or that all have the same shape. */
function shapeOfArray(members: readonly unknown[]): Shape | undefined {
  const first = members.find(isObject)
  if (first === undefined) return known('[]', () => (from) => (from as unknown[]).slice())
  const shape = shapeOf(first)
  if (shape === undefined || !members.every((member) => isObject(member) && shapeOf(member) === shape)) {
    return undefined
  }
  return known(`[${shape.number}]`, () =>
    generated(
      `(from) => {
        const copy = from.slice()
        for (let index = 0; index < copy.length; index++) copy[index] = copier0(copy[index])
        return copy
      }`,
      [shape.copier],
    ),
  )
}

function known(mark: string, make: () => Copier): Shape | undefined {
  let shape = shapes.get(mark)
  if (shape === undefined && shapes.size < shapesMost) {
    shape = new Shape(shapes.size, make())
    shapes.set(mark, shape)
  }
  return shape
}

/** `source` is a function that calls `copier0`, `copier1` and so on. */
function generated(source: string, copiers: readonly Copier[]): Copier {
  const names = copiers.map((_, index) => `copier${index}`)
  return new Function(...names, `return ${source}`)(...copiers) as Copier
}

type Members = Record<string | number, unknown>

function copyMembers(from: unknown): unknown {
  const copy = (Array.isArray(from) ? from.slice() : { ...(from as object) }) as Members
  for (const at of Object.keys(copy)) if (isObject(copy[at])) copy[at] = copyMembers(copy[at])
  return copy
}
