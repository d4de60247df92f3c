/** The list of ids under the hands of several threads: between any two steps of one, others take theirs. */
import { describe, expect, it } from 'vitest'
import { freshSeed, Prng } from '../../src/base/prng.ts'
import { BlobIds } from '../../src/cache/blob-ids.ts'
import type { PinnedEntries } from '../../src/cache/pinned.ts'
import type { Entry } from '../../src/native/engine.ts'

/** The part of a space that the list uses, with a hook before each step. */
class FakeSpace {
  readonly entries = new Map<string, { value: Buffer; version: string }>()
  before: (() => void) | undefined
  #version = 0

  peek(key: string): Entry | undefined {
    this.#step()
    return this.entries.get(key) as unknown as Entry | undefined
  }

  setPinned(key: string, value: Uint8Array, ifVersion: string | undefined): boolean {
    this.#step()
    if (this.entries.get(key)?.version !== ifVersion) return false
    this.entries.set(key, { value: Buffer.from(value), version: String(++this.#version) })
    return true
  }

  delete(key: string, ifVersion?: string): boolean {
    this.#step()
    if (ifVersion !== undefined && this.entries.get(key)?.version !== ifVersion) return false
    return this.entries.delete(key)
  }

  #step(): void {
    const act = this.before
    this.before = undefined
    act?.()
    this.before ??= act
  }
}

function idOf(number: number): string {
  return number.toString(16).padStart(32, '0')
}

async function seen(ids: BlobIds): Promise<string[]> {
  const found: string[] = []
  await ids.drain(async (id) => {
    found.push(id)
    return true
  })
  return found.sort()
}

const seeds =
  process.env.RAMCACHE_SEED === undefined ? [1, 2, 3, freshSeed()] : [Number(process.env.RAMCACHE_SEED)]

describe('the list of ids', () => {
  it('shows each id once, and forgets those that are not wanted', async () => {
    const ids = new BlobIds(new FakeSpace() as unknown as PinnedEntries)
    const all = Array.from({ length: 1000 }, (_, number) => idOf(number))
    const pages = all.map((id) => ids.add(id))
    expect(await seen(ids)).toEqual(all)
    expect(await ids.drain(async (id) => Number.parseInt(id, 16) % 2 === 0)).toBe(500)
    const even = all.filter((_, number) => number % 2 === 0)
    expect(await seen(ids)).toEqual(even)
    ids.remove(idOf(2), pages[2] as number)
    // It has moved since it was added.
    expect(await seen(ids)).toEqual(even)
    const page = ids.add(idOf(5000))
    ids.remove(idOf(5000), page)
    expect(await seen(ids)).toEqual(even)
  })

  it('leaves no pages behind', async () => {
    const space = new FakeSpace()
    const ids = new BlobIds(space as unknown as PinnedEntries)
    for (let round = 0; round < 20; round++) {
      for (let number = 0; number < 100; number++) ids.add(idOf(round * 100 + number))
      await ids.drain(async () => true)
    }
    expect(space.entries.size).toBeLessThan((2000 / 64) * 2 + 2)
    await ids.drain(async () => false)
    expect([...space.entries.keys()]).toEqual(['root'])
  })

  it.each([1, 2, 3])('adds again what came too late for a page, step %i', async (step) => {
    const space = new FakeSpace()
    const ids = new BlobIds(space as unknown as PinnedEntries)
    ids.add(idOf(0))
    await ids.drain(async () => true)
    const root = Buffer.alloc(16)
    root.writeDoubleLE(2, 0)
    root.writeDoubleLE(2, 8)
    let steps = 0
    space.before = () => {
      if (++steps !== step) return
      // What a drain does that another thread finishes here.
      const page = space.entries.get('page/1') as { value: Buffer; version: string }
      space.entries.delete('page/1')
      space.entries.set('page/2', { ...page, version: 'a' })
      space.entries.set('root', { value: root, version: 'b' })
    }
    ids.add(idOf(1))
    space.before = undefined
    expect(steps).toBeGreaterThanOrEqual(step)
    expect([...space.entries.keys()].sort()).toEqual(['page/2', 'root'])
    expect(await seen(ids)).toEqual([idOf(0), idOf(1)])
  })

  it('keeps what came late to a page that is being drained', async () => {
    const space = new FakeSpace()
    const ids = new BlobIds(space as unknown as PinnedEntries)
    ids.add(idOf(0))
    await ids.drain(async () => {
      // By a thread that has read the root before the drain began, and has not looked again yet.
      if (!space.entries.has('page/0')) return true
      const value = Buffer.from(idOf(0) + idOf(1), 'hex')
      space.entries.set('page/0', { value, version: 'late' })
      return true
    })
    expect(new Set(await seen(ids))).toEqual(new Set([idOf(0), idOf(1)]))
  })

  it.each(seeds)('loses no id that is added beside a drain, seed %i', async (seed) => {
    const prng = new Prng(seed)
    for (let round = 0; round < 8; round++) {
      const space = new FakeSpace()
      const threads = [0, 1, 2].map(() => new BlobIds(space as unknown as PinnedEntries))
      const standing = new Set<string>()
      let next = 0
      const add = () => {
        const id = idOf(next++)
        standing.add(id)
        prng.pick(threads).add(id)
      }
      const other = () => {
        if (!prng.chance(0.2)) return
        for (let count = prng.below(40); count >= 0; count--) add()
      }
      for (let count = prng.below(200); count >= 0; count--) add()
      for (let drain = 0; drain < 3; drain++) {
        space.before = other
        await prng.pick(threads).drain(async (id) => {
          if (prng.chance(0.7)) return true
          standing.delete(id)
          return false
        })
        space.before = undefined
      }
      const left = new Set(await seen(threads[0] as BlobIds))
      for (const id of standing) expect(left.has(id)).toBe(true)
    }
  })
})
