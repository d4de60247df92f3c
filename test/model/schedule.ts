/**
 * Seeded schedules: what is asked of a subject, in which order, and where it crashes. A schedule knows nothing of the
 * subject. A profile sets how often each thing is asked, so that few seeds are spent on what a hazard does not need.
 */
import { Prng } from '../../src/base/prng.ts'
import type { CrashKind, Draft, Durability, Key, Move, Operation } from './subject.ts'

export type Item = Operation | { readonly kind: 'crash'; readonly crash: CrashKind }

/**
 * One thing a schedule can ask for. `settle` is flush, synced checkpoint, evictions: things come to rest on SSD; after
 * `sink` the oldest of them are on HDD. A `story` is the profile's own sequence about one key, with gaps.
 */
type Phrase = 'settle' | 'sink' | 'wait' | 'stepBack' | 'setOther' | 'story'
export type Word = Exclude<Operation['kind'], 'move' | 'fill' | 'advance'> | Move | CrashKind | Phrase

export interface Profile {
  readonly words: Partial<Record<Word, number>>
  readonly story: readonly Word[]
  readonly keys: number
  readonly items: number
  readonly ttlChance: number
  readonly tagChance: number
  /** Relative frequency of none, async, sync. */
  readonly durability: readonly [number, number, number]
  readonly promoteChance: number
  /** How often an eviction or a drain finds records that were touched, and keeps them. */
  readonly touchChance: number
  /** Operations and moves that are often paused for long between two of their steps. */
  readonly slow: readonly (Operation['kind'] | Move)[]
}

export interface Schedule {
  readonly seed: number
  readonly keys: readonly Key[]
  readonly items: readonly Item[]
  readonly slow: Profile['slow']
}

const TAGS = ['a', 'b'] as const
const REMOTE_KEY = 'r7'
const CLIENTS = 2
const TTL_MS_MAX = 12
const WAIT_MS_MAX = 9
const STEP_BACK_MS_MAX = 30
const STORY_GAP_CHANCE = 0.1
const DURABILITIES: readonly Durability[] = ['none', 'async', 'sync']
const MOVES: ReadonlySet<string> = new Set<Move>([
  'write',
  'checkpoint',
  'evict',
  'drain',
  'sweep',
  'split',
  'rebuildFilter',
])

export function makeSchedule(seed: number, profile: Profile): Schedule {
  const keys = Array.from({ length: profile.keys }, (_, number) => `k${number}`)
  const allKeys = profile.words.remotePut === undefined ? keys : [...keys, REMOTE_KEY]
  const maker = new Maker(new Prng(seed), profile, keys, allKeys)
  while (maker.items.length < profile.items) maker.add()
  return { seed, keys: allKeys, items: maker.items, slow: profile.slow }
}

class Maker {
  readonly items: Item[] = []
  readonly #random: Prng
  readonly #profile: Profile
  readonly #keys: readonly Key[]
  readonly #allKeys: readonly Key[]
  readonly #words: Word[]
  readonly #weights: number[]
  /** Fills that follow their lease after a few items. */
  readonly #fills: { readonly operation: Operation; readonly from: number }[] = []
  #values = 0
  #leases = 0
  /** The key a story is about. */
  #hero: Key | undefined

  constructor(random: Prng, profile: Profile, keys: readonly Key[], allKeys: readonly Key[]) {
    this.#random = random
    this.#profile = profile
    this.#keys = keys
    this.#allKeys = allKeys
    this.#words = Object.keys(profile.words) as Word[]
    this.#weights = this.#words.map((word) => profile.words[word] ?? 0)
  }

  add(): void {
    const due = this.#fills.findIndex(({ from }) => from <= this.items.length)
    const [fill] = due < 0 ? [] : this.#fills.splice(due, 1)
    if (fill !== undefined) this.items.push(fill.operation)
    else this.#addWord(this.#words[weighted(this.#random, this.#weights)] ?? 'set')
  }

  #addWord(word: Word): void {
    const random = this.#random
    const isDrainOrEvict = word === 'evict' || word === 'drain'
    switch (word) {
      case 'settle':
      case 'sink':
        this.items.push({ kind: 'flush' }, { kind: 'move', move: 'checkpoint', choice: 1 })
        for (let count = 1 + random.below(3); count > 0; count--) this.#addMove('evict', true)
        if (word === 'sink') this.#addMove('drain', true)
        return
      case 'wait':
        this.items.push({ kind: 'advance', ms: 1 + random.below(WAIT_MS_MAX) })
        return
      case 'stepBack':
        this.items.push({ kind: 'advance', ms: -1 - random.below(STEP_BACK_MS_MAX) })
        return
      case 'kill':
      case 'power':
        this.items.push({ kind: 'crash', crash: word })
        return
      case 'lease':
        this.#addLease()
        return
      case 'setOther':
        this.items.push({
          kind: 'set',
          ...this.#draft(random.pick(this.#keys.filter((key) => key !== this.#hero))),
        })
        return
      case 'story':
        this.#hero = random.pick(this.#keys)
        for (const part of this.#profile.story) if (!random.chance(STORY_GAP_CHANCE)) this.#addWord(part)
        this.#hero = undefined
        return
      default:
        if (MOVES.has(word))
          this.#addMove(word as Move, isDrainOrEvict && !random.chance(this.#profile.touchChance))
        else this.items.push(this.#operation(word as Exclude<Operation['kind'], 'move'>))
    }
  }

  #addMove(move: Move, isUntouched: boolean): void {
    this.items.push({ kind: 'move', move, choice: isUntouched ? 0 : this.#random.below(16) })
  }

  #addLease(): void {
    const lease = ++this.#leases
    const draft = this.#draft(this.#random.pick(this.#keys))
    this.items.push({ kind: 'lease', key: draft.key, lease, tags: draft.tags })
    const operation: Operation = { kind: 'fill', lease, ...draft, durability: 'async' }
    this.#fills.push({ operation, from: this.items.length + 1 + this.#random.below(4) })
  }

  #operation(kind: Operation['kind']): Operation {
    const random = this.#random
    const key = this.#hero ?? random.pick(this.#keys)
    const durability = random.chance(0.3) ? 'sync' : 'async'
    switch (kind) {
      case 'set':
      case 'add':
        return { kind, ...this.#draft(key) }
      case 'delete':
        return { kind, key, durability }
      case 'touch':
        return { kind, key, ttlMs: 1 + random.below(TTL_MS_MAX) }
      case 'setMany': {
        const keys = this.#someKeys()
        return { kind, keys, values: keys.map(() => ++this.#values), durability }
      }
      case 'getMany':
        return { kind, keys: this.#someKeys() }
      case 'near':
        return { kind, key, client: random.below(CLIENTS) }
      case 'invalidateTag':
        return { kind, tag: random.pick(TAGS), durability }
      case 'clear':
        return { kind, durability }
      case 'remotePut':
        return { kind, key: REMOTE_KEY, value: ++this.#values }
      case 'flush':
        return { kind }
      default:
        return {
          kind: 'get',
          key: this.#hero ?? random.pick(this.#allKeys),
          promote: random.chance(this.#profile.promoteChance),
        }
    }
  }

  #draft(key: Key): Draft {
    const random = this.#random
    const { ttlChance, tagChance, durability } = this.#profile
    return {
      key,
      value: ++this.#values,
      ttlMs: random.chance(ttlChance) ? 1 + random.below(TTL_MS_MAX) : undefined,
      tags: random.chance(tagChance) ? [random.pick(TAGS)] : [],
      durability: DURABILITIES[weighted(random, durability)] ?? 'async',
    }
  }

  #someKeys(): Key[] {
    const first = this.#random.below(this.#keys.length)
    const count = Math.min(this.#keys.length, 2 + this.#random.below(2))
    return Array.from({ length: count }, (_, at) => this.#keys[(first + at) % this.#keys.length] ?? '')
  }
}

/** An index into `weights`, chosen in proportion to them. */
export function weighted(random: Prng, weights: readonly number[]): number {
  let left = random.float() * weights.reduce((sum, weight) => sum + weight, 0)
  for (let index = 0; index < weights.length - 1; index++) {
    left -= weights[index] ?? 0
    if (left < 0) return index
  }
  return weights.length - 1
}
