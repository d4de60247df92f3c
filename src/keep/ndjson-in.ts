/**
 * Reads the text form of an export. With its first line, every batch is checked before any of it is given, and the last
 * line must be there. Without it the lines are somebody's own: each is an entry, and given as it comes.
 */
import { crc32 } from 'node:zlib'
import { RamcacheError, show } from '../base/errors.ts'
import { type ByteSource, BytesIn } from './bytes-in.ts'
import { type Batch, batchBytes, type Item } from './items.ts'
import { isObject, itemOf, type Line } from './ndjson-line.ts'
import { hex, lineBytesMax, textVersion } from './ndjson-out.ts'

/** A batch ends with the line that fills it. */
const batchBytesMax = batchBytes + lineBytesMax
/** Own lines given at a time. */
const ownLinesMax = 256

export async function* readText(source: ByteSource | BytesIn): AsyncGenerator<Batch> {
  const input = source instanceof BytesIn ? source : new BytesIn(source)
  const lines = new Lines(input)
  const first = await lines.next()
  if (first === undefined) return
  if (first.json.ramcache === undefined) yield* readOwn(lines, first)
  else yield* readChecked(lines, first)
}

interface Read {
  readonly json: Line
  readonly bytes: Buffer
  readonly place: string
}

class Lines {
  readonly #input: BytesIn
  #number = 0

  constructor(input: BytesIn) {
    this.#input = input
  }

  get place(): string {
    return `line ${this.#number}`
  }

  /** Empty lines are nothing. */
  async next(): Promise<Read | undefined> {
    for (;;) {
      this.#number++
      const bytes = await atPlace(this.place, () => this.#input.takeLine(lineBytesMax))
      if (bytes === undefined) return undefined
      const text = decode(bytes, this.place)
      if (text.trim() !== '') return { json: parse(text, this.place), bytes, place: this.place }
    }
  }
}

async function* readOwn(lines: Lines, first: Read): AsyncGenerator<Batch> {
  let read: Read | undefined = first
  while (read !== undefined) {
    const items: Item[] = []
    const places: string[] = []
    let bytes = 0
    while (read !== undefined && items.length < ownLinesMax && bytes < batchBytes) {
      const { json, place } = read
      if (json.ramcache !== undefined) {
        throw damaged(
          place,
          `it is a line of an export (${show(json.ramcache)}), but the first line was none`,
        )
      }
      items.push(await atPlace(place, () => itemOf(json)))
      places.push(place)
      bytes += read.bytes.length
      read = await lines.next()
    }
    yield { items, places, place: places[0] as string }
  }
}

async function* readChecked(lines: Lines, first: Read): AsyncGenerator<Batch> {
  checkFirst(first)
  let held: Read[] = []
  let heldBytes = 0
  let entries = 0
  for (;;) {
    const read = await lines.next()
    if (read === undefined) throw damaged(lines.place, 'the export ends here, but its last line is missing')
    const { json, place } = read
    if (json.ramcache === undefined) {
      held.push(read)
      heldBytes += read.bytes.length
      if (heldBytes > batchBytesMax) throw damaged(place, `a batch has more than ${batchBytesMax} bytes`)
      continue
    }
    if (json.ramcache === 'batch') {
      checkBatch(held, read)
      const batch = await itemsOf(held)
      for (const { kind } of batch.items) entries += kind === 'entry' || kind === 'end' ? 1 : 0
      held = []
      heldBytes = 0
      yield batch
      continue
    }
    if (json.ramcache !== 'end')
      throw damaged(place, `there is no line of an export named ${show(json.ramcache)}`)
    if (held.length > 0) throw damaged(place, `the check of the ${held.length} lines before it is missing`)
    if (json.entries !== entries)
      throw damaged(place, `${entries} entries have come, not ${show(json.entries)}`)
    const more = await lines.next()
    if (more !== undefined) throw damaged(more.place, 'it is behind the end of the export')
    return
  }
}

function checkFirst({ json, place }: Read): void {
  if (json.ramcache !== 'export') throw damaged(place, 'it is not the first line of an export')
  if (json.version === textVersion) return
  throw new RamcacheError(
    'ERR_RAMCACHE_CORRUPT',
    `${place}: the export has format version ${show(json.version)}, this version of ramcache reads ${textVersion}`,
  )
}

function checkBatch(held: readonly Read[], { json, place }: Read): void {
  const from = held[0]?.place ?? place
  if (json.lines !== held.length) {
    throw damaged(place, `the batch from ${from} on has ${held.length} lines, not ${show(json.lines)}`)
  }
  let crc = 0
  for (const { bytes } of held) crc = crc32(bytes, crc)
  if (json.crc32 === hex(crc)) return
  throw damaged(
    place,
    `the checksum of the batch from ${from} on does not match: nothing of it was imported. Lines that were changed on purpose are imported unchecked without all lines that have "ramcache"`,
  )
}

async function itemsOf(held: readonly Read[]): Promise<Batch> {
  const items: Item[] = []
  for (const { json, place } of held) items.push(await atPlace(place, () => itemOf(json)))
  return { items, places: held.map(({ place }) => place), place: held[0]?.place ?? '' }
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

function decode(bytes: Buffer, place: string): string {
  try {
    return utf8.decode(bytes)
  } catch (error) {
    throw damaged(place, 'it is not UTF-8', error)
  }
}

function parse(text: string, place: string): Line {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (error) {
    throw damaged(place, `it is not JSON: ${(error as Error).message}`, error)
  }
  if (!isObject(json)) throw damaged(place, `it is ${show(json)}, not an object`)
  return json
}

/** Errors from inside say where. */
export async function atPlace<T>(place: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof RamcacheError)
      throw new RamcacheError(error.code, `${place}: ${error.message}`, error)
    throw error
  }
}

export function damaged(place: string, what: string, cause?: unknown): RamcacheError {
  return new RamcacheError('ERR_RAMCACHE_CORRUPT', `${place}: ${what}`, cause)
}
