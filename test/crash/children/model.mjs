/**
 * What a store that was killed may and must hold. A journal, written before and after each operation, survives the kill
 * in the page cache; from it each key gets the states it went through, and which of them were acknowledged or flushed.
 *
 * A state: `null` absent, `{ v }` the value of that version, `{ n }` a counter, `{ v, until }` a value that expires.
 * Lines of the journal: `i id key state` issued, `a id` acknowledged, `x id` refused, `c id prefix` a clear was
 * issued (of all keys that begin so), `g id v keys` a group, `f id` a flush was issued.
 */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'

const kinds = 3

/** Deterministic in key and version, so that a wrong value, a mixture, and a value of another key are all seen. */
export function textOf(key, v) {
  let hash = 2166136261
  for (const character of `${key}|${v}`) hash = Math.imul(hash ^ character.charCodeAt(0), 16777619) >>> 0
  const share = hash % 1000
  const spread = Math.imul(hash, 2654435761) >>> 0
  const length =
    share < 600
      ? spread % 500
      : share < 930
        ? 500 + (spread % 7500)
        : share < 995
          ? 8000 + (spread % 50_000)
          : 100_000 + (spread % 100_000)
  const unit = `${key}|${v}|${hash.toString(36)};`
  const text = unit.repeat(Math.ceil((length + 10) / unit.length)).slice(0, length + 10)
  if (v % kinds === 0) return text
  return v % kinds === 1 ? Buffer.from(text) : { key, v, text }
}

export function isValue(value, key, v) {
  const expected = textOf(key, v)
  if (typeof expected === 'string') return value === expected
  if (Buffer.isBuffer(expected)) return Buffer.isBuffer(value) && value.equals(expected)
  return value?.key === key && value.v === v && value.text === expected.text
}

export function isState(value, key, state) {
  if (state === null) return value === undefined
  if ('n' in state) return value === state.n
  if ('until' in state && value === undefined) return true
  return isValue(value, key, state.v) && !('until' in state && Date.now() > state.until)
}

export class Model {
  /** Of each key its states in order; `acked`: the last acknowledged one, `flushed`: the last flushed one. */
  keys = new Map()
  /** Groups: keys that are only ever written together. */
  groups = new Map()
  nextVersion = 1
  #issued = new Map()

  static load(path) {
    const model = new Model()
    if (!existsSync(path)) return model
    const lines = readFileSync(path, 'utf8').split('\n')
    // After the last newline there is nothing, or the half of a line that the kill cut off where a page ended: what it
    // says was not begun, or is not known to have been acknowledged.
    for (const line of lines.slice(0, -1)) model.#replay(JSON.parse(line))
    return model
  }

  of(key) {
    let found = this.keys.get(key)
    if (found === undefined) {
      found = { states: [null], acked: 0, flushed: 0 }
      this.keys.set(key, found)
    }
    return found
  }

  last(key) {
    return this.keys.get(key)?.states.at(-1) ?? null
  }

  #replay([kind, id, ...rest]) {
    if (kind === 's') {
      const [key, state] = [id, rest[0]]
      this.keys.set(key, { states: [state], acked: 0, flushed: 0 })
      if (state !== null && 'v' in state) this.nextVersion = Math.max(this.nextVersion, state.v + 1)
    } else if (kind === 'm') {
      this.groups.set(id, rest[0])
    } else if (kind === 'v') {
      this.nextVersion = Math.max(this.nextVersion, id)
    } else if (kind === 'i') {
      this.#add(id, [rest[0]], rest[1])
    } else if (kind === 'g') {
      this.groups.set(rest[1][0], rest[1])
      this.#add(id, rest[1], { v: rest[0] })
    } else if (kind === 'c') {
      this.#add(
        id,
        [...this.keys.keys()].filter((key) => key.startsWith(rest[0])),
        null,
      )
    } else if (kind === 'f') {
      this.#issued.set(id, new Map([...this.keys].map(([key, { acked }]) => [key, acked])))
    } else {
      const issued = this.#issued.get(id)
      this.#issued.delete(id)
      if (issued instanceof Map) {
        for (const [key, acked] of issued) this.of(key).flushed = Math.max(this.of(key).flushed, acked)
      } else {
        for (const { key, at } of issued) {
          const found = this.of(key)
          if (kind === 'a') found.acked = at
          else found.states.pop()
        }
      }
    }
  }

  #add(id, keys, state) {
    if (state !== null && 'v' in state) this.nextVersion = Math.max(this.nextVersion, state.v + 1)
    this.#issued.set(
      id,
      keys.map((key) => ({ key, at: this.of(key).states.push(state) - 1 })),
    )
  }

  /**
   * Compares what a store holds with what it may hold; `isFlushedOnly`: what was not flushed may be lost. Takes what is
   * found as what is there. Throws on what may not be.
   */
  settle(found, isFlushedOnly) {
    const wrong = []
    for (const [key, entry] of this.keys) {
      const from = isFlushedOnly ? entry.flushed : entry.acked
      const value = found.get(key)
      const allowed = entry.states.slice(from)
      // A flush may say later than it is true: what else is there must at least have been written.
      const at = allowed.findLastIndex((state) => isState(value, key, state))
      if (at === -1)
        wrong.push(
          `${key}: ${describe(value)}, allowed ${JSON.stringify(allowed.slice(0, 5))} of ${entry.states.length} from ${from}`,
        )
      else {
        const state = allowed[at]
        const isExpired = value === undefined && state !== null
        this.keys.set(key, { states: [isExpired ? null : state], acked: 0, flushed: 0 })
      }
    }
    for (const keys of this.groups.values()) {
      const versions = new Set(keys.map((key) => this.last(key)?.v))
      if (versions.size > 1) wrong.push(`half a group: ${keys} at ${[...versions]}`)
    }
    const cleared = [...this.keys].filter(([key]) => key.startsWith('c:'))
    if (wrong.length > 0)
      throw new Error(
        `${wrong.length} of ${this.keys.size} are wrong:\n${wrong.slice(0, 12).join('\n')}\n${cleared.length}`,
      )
  }

  /** Writes a journal that says only what is there, in place of the old one, and gives it for more to be added. */
  save(path) {
    const lines = [['v', this.nextVersion], ...[...this.groups].map(([name, keys]) => ['m', name, keys])]
    for (const [key, { states }] of this.keys) lines.push(['s', key, states.at(-1)])
    const file = openSync(`${path}.new`, 'w')
    writeSync(file, `${lines.map((line) => JSON.stringify(line)).join('\n')}\n`)
    fsyncSync(file)
    closeSync(file)
    renameSync(`${path}.new`, path)
    return new Journal(openSync(path, 'a'), this)
  }
}

class Journal {
  #file
  #model
  #nextId = 1

  constructor(file, model) {
    this.#file = file
    this.#model = model
  }

  #line(line) {
    writeSync(this.#file, `${JSON.stringify(line)}\n`)
  }

  issue(key, state) {
    const id = this.#nextId++
    this.#line(['i', id, key, state])
    this.#model.of(key).states.push(state)
    return { id, undo: () => this.#model.of(key).states.pop() }
  }

  issueGroup(keys, v) {
    const id = this.#nextId++
    this.#line(['g', id, v, keys])
    for (const key of keys) this.#model.of(key).states.push({ v })
    return { id, undo: () => this.#forget(keys) }
  }

  issueClear(prefix) {
    const id = this.#nextId++
    this.#line(['c', id, prefix])
    const keys = [...this.#model.keys.keys()].filter((key) => key.startsWith(prefix))
    for (const key of keys) this.#model.of(key).states.push(null)
    return { id, undo: () => this.#forget(keys) }
  }

  issueFlush() {
    const id = this.#nextId++
    this.#line(['f', id])
    return { id, undo: () => {} }
  }

  #forget(keys) {
    for (const key of keys) this.#model.of(key).states.pop()
  }

  acknowledge({ id }) {
    this.#line(['a', id])
  }

  refuse({ id, undo }) {
    this.#line(['x', id])
    undo()
  }
}

function describe(value) {
  if (value === undefined) return 'nothing'
  const text = Buffer.isBuffer(value)
    ? value.toString()
    : typeof value === 'object'
      ? JSON.stringify(value)
      : String(value)
  return `${text.slice(0, 60)} (${text.length})`
}
