/** What the log's index must answer, kept in a Map; and changes in the order a log would hold them. */
import type { Prng } from '../../src/base/prng.ts'
import type { Change } from '../../src/tiers/index-batch.ts'
import type { LogIndex } from '../../src/tiers/log-index.ts'

export interface ModelRow {
  readonly isTombstone: boolean
  readonly file: number
  readonly offset: number
  readonly bytes: number
  readonly clock: bigint
  readonly expiresAt: number
}

export function keyOf(text: string, namespace = 1): Buffer {
  const key = Buffer.alloc(2 + Buffer.byteLength(text))
  key.writeUInt16BE(namespace)
  key.write(text, 2)
  return key
}

/** A log as the index sees it: places that only grow, clocks that mostly do. */
export class FakeLog {
  readonly rows = new Map<string, ModelRow>()
  readonly epochs = new Map<number, bigint>()
  readonly #random: Prng
  readonly #keepTombstones: boolean
  file = 1
  offset = 0
  clock = 1n << 60n

  constructor(random: Prng, keepTombstones: boolean) {
    this.#random = random
    this.#keepTombstones = keepTombstones
  }

  get position() {
    return { file: this.file, offset: this.offset }
  }

  /** The next change of `key`; now and then with an older clock than the last one. */
  next(key: Buffer): Change {
    const random = this.#random
    this.clock += BigInt(1 + random.below(1000))
    const late = random.chance(0.1) ? BigInt(random.below(20_000)) : 0n
    const change: Change = {
      key,
      kind: random.chance(0.25) ? 'delete' : 'set',
      ...this.#place(),
      clock: this.clock - late,
      expiresAt: random.chance(0.5) ? 0 : random.below(2 ** 45),
    }
    this.#apply(change)
    return change
  }

  clear(namespace: number): Change {
    this.clock++
    const { file, offset, bytes } = this.#place()
    this.epochs.set(namespace, this.clock)
    for (const [name, row] of this.rows) {
      if (namespaceOf(name) === namespace && row.clock <= this.clock) this.rows.delete(name)
    }
    const key = Buffer.alloc(2)
    key.writeUInt16BE(namespace)
    return { key, kind: 'clear', file, offset, bytes, clock: this.clock }
  }

  /** Moves a record to the head, as a drain does. */
  move(
    name: string,
  ): { key: Buffer; oldFile: number; oldOffset: number; file: number; offset: number } | undefined {
    const row = this.rows.get(name)
    if (row === undefined) return undefined
    const { file, offset } = this.#place(row.bytes)
    this.rows.set(name, { ...row, file, offset })
    return { key: Buffer.from(name, 'hex'), oldFile: row.file, oldOffset: row.offset, file, offset }
  }

  #place(bytes = 20 + this.#random.below(5000)) {
    if (this.offset + bytes > 100_000) {
      this.file++
      this.offset = 0
    }
    const place = { file: this.file, offset: this.offset, bytes }
    this.offset += bytes
    return place
  }

  #apply({ key, kind, clock, file, offset, bytes, expiresAt = 0 }: Change): void {
    const name = key.toString('hex')
    const epoch = this.epochs.get(key.readUInt16BE())
    const old = this.rows.get(name)
    if (epoch !== undefined && clock <= epoch) return
    if (old !== undefined && old.clock >= clock) return
    const isTombstone = kind === 'delete'
    if (isTombstone && !this.#keepTombstones) this.rows.delete(name)
    else this.rows.set(name, { isTombstone, file, offset, bytes, clock, expiresAt })
  }
}

function namespaceOf(name: string): number {
  return Number.parseInt(name.slice(0, 4), 16)
}

/** Every row of the index, by the hexadecimal of its key; keys that are hashed are looked up among `names`. */
export function rowsOf(index: LogIndex, names: Iterable<string>, pageRows = 100): Map<string, ModelRow> {
  const found = new Map<string, ModelRow>()
  let from: Buffer | undefined
  let hashed = 0
  do {
    const page = index.scan(Buffer.alloc(0), from, pageRows)
    for (const { key, isHashed, row } of page.rows) {
      if (isHashed) hashed++
      else found.set(key.toString('hex'), plain(row))
    }
    from = page.next
  } while (from !== undefined)
  for (const name of names) {
    if (name.length <= 2 * 1900) continue
    const row = index.find(Buffer.from(name, 'hex'))
    if (row === undefined) continue
    found.set(name, plain(row))
    hashed--
  }
  if (hashed !== 0) throw new Error(`${hashed} hashed rows belong to no key`)
  return found
}

export function plain({ isTombstone, file, offset, bytes, clock, expiresAt }: ModelRow): ModelRow {
  return { isTombstone, file, offset, bytes, clock, expiresAt }
}
