/**
 * Structures that messages define inside themselves, remembered from message to message: their names stand together in
 * the bundle, so one look-up of that text gives the names as strings V8 knows already, and a compiled reader.
 */
import { cutAscii } from './bundle.ts'
import { newShape, type Shape } from './structures.ts'

/** All are forgotten when there are more: what comes then are dictionaries. */
const rememberedMax = 512
/** Names in one structure, and characters of all of them, beyond which remembering does not pay. */
const fieldsMax = 64
const textLengthMax = 1024

const remembered = new Map<string, Shape>()

/** Where the tokens go on after the last structure that was found. */
let next = 0

export function nextAfterInline(): number {
  return next
}

/**
 * The structure whose list of names begins at `at`, if it is plain: up to 15 short ASCII names as the encoder writes
 * them, or the longer form of the list. `undefined`, with nothing used up, for everything else.
 */
export function readInline(source: Uint8Array, at: number, end: number): Shape | undefined {
  let from = at + 1
  const token = source[at] as number
  let count = token & 0x0f
  if (token === 0xdc) {
    count = ((source[at + 1] as number) << 8) | (source[at + 2] as number)
    from = at + 3
  } else if (token >> 4 !== 9) {
    return undefined
  }
  if (count === 0 || count > fieldsMax || from + count * 2 > end) return undefined
  let total = 0
  for (let index = 0; index < count; index++) {
    const length = source[from + index * 2 + 1] as number
    if (source[from + index * 2] !== 0xc1 || length >= 0x40) return undefined
    total += length
  }
  if (total > textLengthMax) return undefined
  const text = cutAscii(total)
  next = from + count * 2
  const known = remembered.get(text)
  if (known !== undefined && hasLengths(known.keys, source, from, count)) return known
  return remember(text, source, from, count)
}

/** The same text can be cut in different ways. */
function hasLengths(keys: readonly string[], source: Uint8Array, from: number, count: number): boolean {
  if (keys.length !== count) return false
  for (let index = 0; index < count; index++) {
    if ((keys[index] as string).length !== source[from + index * 2 + 1]) return false
  }
  return true
}

function remember(text: string, source: Uint8Array, from: number, count: number): Shape {
  if (remembered.size >= rememberedMax) remembered.clear()
  // A copy: as pieces of the message's strings they would keep those alive.
  const own = Buffer.from(text, 'latin1').toString('latin1')
  const keys: string[] = []
  let start = 0
  for (let index = 0; index < count; index++) {
    const length = source[from + index * 2 + 1] as number
    keys.push(own.slice(start, start + length))
    start += length
  }
  const shape = newShape(keys, 0)
  remembered.set(own, shape)
  return shape
}
