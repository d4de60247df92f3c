/** The oracle by hand: short histories that are right, and their neighbours that are not. */
import { describe, expect, it } from 'vitest'
import { Oracle } from './oracle.ts'
import type { Rule } from './rules.ts'
import type { CrashKind, Durability, Operation, Reply, Value } from './subject.ts'

const KEYS = ['k0', 'k1']

/** Plays operations one after another; `begin` and `end` are for those that overlap. */
class Play {
  readonly oracle = new Oracle(KEYS)
  rule: Rule | undefined
  #ids = 0

  begin(operation: Operation): number {
    this.oracle.invoke(++this.#ids, operation)
    return this.#ids
  }

  end(id: number, reply: Reply = { kind: 'done' }): this {
    this.rule ??= this.oracle.respond(id, reply)?.rule
    return this
  }

  set(value: Value, durability: Durability = 'async', ttlMs?: number): this {
    return this.end(this.begin(setOf(value, durability, ttlMs)))
  }

  delete(): this {
    return this.end(this.begin({ kind: 'delete', key: 'k0', durability: 'async' }))
  }

  flush(): this {
    return this.end(this.begin({ kind: 'flush' }))
  }

  wait(ms: number): this {
    return this.end(this.begin({ kind: 'advance', ms }))
  }

  reads(value: Value | undefined, key = 'k0'): this {
    return this.end(this.begin(getOf(key)), { kind: 'value', value })
  }

  crash(kind: CrashKind): this {
    this.oracle.crash(kind)
    return this
  }

  survey(): this {
    this.rule ??= this.oracle.surveyed()?.rule
    return this
  }
}

const setOf = (value: Value, durability: Durability = 'async', ttlMs?: number): Operation => {
  return { kind: 'set', key: 'k0', value, durability, ttlMs, tags: ['a'] }
}
const getOf = (key: string): Operation => ({ kind: 'get', key, promote: false })
const tagged: Operation = { kind: 'invalidateTag', tag: 'a', durability: 'async' }
const pair: Operation = { kind: 'setMany', keys: KEYS, values: [11, 12], durability: 'async' }

describe('without crashes', () => {
  it.each([1, 2])('a read during a write may see either value: %i', (value) => {
    const play = new Play().set(1)
    const write = play.begin(setOf(2))
    expect(play.reads(value).rule).toBeUndefined()
    expect(play.end(write).reads(2).rule).toBeUndefined()
  })

  it('a value once replaced does not come back', () => {
    expect(new Play().set(1).set(2).reads(1).rule).toBe('stale-returned')
    const play = new Play().set(1)
    play.begin(setOf(2))
    expect(play.reads(2).reads(1).rule).toBe('stale-returned')
  })

  it('what was deleted, invalidated, expired or never written is not read', () => {
    expect(new Play().set(1).delete().reads(1).rule).toBe('deleted-returned')
    const play = new Play().set(1)
    expect(play.end(play.begin(tagged)).reads(1).rule).toBe('tagged-returned')
    expect(new Play().set(1, 'async', 5).wait(5).reads(1).rule).toBe('expired-returned')
    expect(new Play().set(1).set(2, 'async', 5).wait(5).reads(1).rule).toBe('expiry-uncovers')
    expect(new Play().set(1).reads(7).rule).toBe('never-written')
  })

  it('a live value is found, until its time', () => {
    expect(new Play().set(1, 'async', 5).wait(4).reads(undefined).rule).toBe('false-miss')
    expect(new Play().set(1, 'async', 5).wait(4).reads(1).wait(1).reads(undefined).rule).toBeUndefined()
  })

  it('a clock that steps back revives nothing', () => {
    expect(new Play().set(1, 'async', 5).wait(5).wait(-5).reads(1).rule).toBe('expired-returned')
  })

  it('a fill is refused after a change, and may be dead on arrival during one', () => {
    const lease: Operation = { kind: 'lease', key: 'k0', lease: 1, tags: ['a'] }
    const fill: Operation = { ...(setOf(5) as Operation & { kind: 'set' }), kind: 'fill', lease: 1 }
    const late = new Play()
    late.end(late.begin(lease)).delete()
    expect(late.end(late.begin(fill), { kind: 'flag', flag: true }).rule).toBe('stale-fill')
    const overlapping = new Play()
    const filling = overlapping.end(overlapping.begin(lease)).begin(fill)
    overlapping.end(overlapping.begin(tagged)).end(filling, { kind: 'flag', flag: true })
    expect(overlapping.reads(undefined).rule).toBeUndefined()
    expect(overlapping.reads(5).rule).toBe('stale-fill')
  })

  it('versions follow acknowledgements', () => {
    const play = new Play()
    play.end(play.begin(setOf(1)), { kind: 'version', version: 9 })
    expect(play.end(play.begin(setOf(2)), { kind: 'version', version: 9 }).rule).toBe('version-order')
  })
})

describe('with crashes', () => {
  it('a kill loses nothing acknowledged, and settles what was running', () => {
    expect(new Play().set(1, 'none').crash('kill').reads(undefined).rule).toBe('lost-after-kill')
    const play = new Play().set(1)
    play.begin(setOf(2))
    expect(play.crash('kill').reads(1).reads(1).rule).toBeUndefined()
    expect(play.reads(2).rule).toBe('stale-returned')
  })

  it.each([undefined, 1, 2])(
    'a power cut may roll an async key back to any state since its sync: %s',
    (value) => {
      expect(new Play().set(1).set(2).crash('power').reads(value).rule).toBeUndefined()
    },
  )

  it('but not past the last sync', () => {
    expect(new Play().set(1).flush().set(2).crash('power').reads(1).rule).toBeUndefined()
    expect(new Play().set(1).set(2).flush().crash('power').reads(1).rule).toBe('rolled-back')
    expect(new Play().set(1).set(2, 'sync').set(3).crash('power').reads(undefined).rule).toBe(
      'lost-after-power',
    )
    expect(new Play().set(1).delete().flush().crash('power').reads(1).rule).toBe('deleted-returned')
  })

  it('a none value may vanish, and uncovers nothing', () => {
    expect(new Play().set(1, 'sync').set(2, 'none').crash('power').reads(undefined).rule).toBeUndefined()
    expect(new Play().set(1, 'sync').set(2, 'none').crash('power').reads(1).rule).toBe('none-uncovers')
  })

  it('a group is recovered as a whole', () => {
    const grouped = () => {
      const play = new Play()
      return play.end(play.begin(pair)).crash('power')
    }
    expect(grouped().reads(11).reads(12, 'k1').survey().rule).toBeUndefined()
    expect(grouped().reads(undefined).reads(undefined, 'k1').survey().rule).toBeUndefined()
    expect(grouped().reads(11).reads(undefined, 'k1').survey().rule).toBe('half-group-recovered')
  })

  it('a group is read as a whole', () => {
    const play = new Play()
    play.end(play.begin({ ...pair, values: [1, 2] }))
    play.begin(pair)
    const read = play.begin({ kind: 'getMany', keys: KEYS })
    expect(play.end(read, { kind: 'values', values: [11, 2] }).rule).toBe('half-group-read')
  })
})
