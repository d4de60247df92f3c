/** The near cache: what it gives out is always what the store has, whoever wrote, cleared, evicted or let expire. */
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { Prng } from '../../src/base/prng.ts'
import { ValueCodec } from '../../src/codec/value.ts'
import { attach, type ReadonlyCache } from '../../src/index.ts'
import { OwnerProcess } from '../support/processes.ts'
import { testSeed } from '../support/seed.ts'
import { openEmbedded, type Placement } from '../support/stores.ts'

let place: Placement
let near: ReadonlyCache
/** The same store without a near cache. */
let plain: ReadonlyCache

async function begin(options: Parameters<typeof openEmbedded>[0] = {}): Promise<void> {
  place = await openEmbedded(options)
  near = await attach({ dir: place.dir, nearEntries: 64 })
  plain = await attach({ dir: place.dir, nearEntries: 0 })
}

beforeEach(() => begin())

afterEach(async () => {
  await near.close()
  await plain.close()
  await place.end()
})

/** Often enough that it is kept. */
function readThrice(key: string): unknown {
  near.getSync(key, { frozen: true })
  near.getSync(key, { frozen: true })
  return near.getSync(key, { frozen: true })
}

describe('a value that is kept', () => {
  it('is the same object for all who ask for a frozen one, until it is written', async () => {
    const { cache } = place
    await cache.set('k', { list: [1, { deep: 'x' }] })
    const first = readThrice('k') as { list: unknown[] }
    expect(near.getSync('k', { frozen: true })).toBe(first)
    expect(Object.isFrozen(first) && Object.isFrozen(first.list) && Object.isFrozen(first.list[1])).toBe(true)
    await cache.set('k', { list: [2] })
    expect(near.getSync('k', { frozen: true })).toEqual({ list: [2] })
  })

  it('is copied for who did not ask for a frozen one, not decoded again', async () => {
    const decode = vi.spyOn(ValueCodec.prototype, 'decode')
    onTestFinished(() => decode.mockRestore())
    const value = { list: [1, [{ deep: 'x' }]], at: { null: null, yes: true } }
    await place.cache.set('k', value)
    for (let read = 0; read < 10; read++) {
      const own = near.getSync<{ list: unknown[]; at: { yes: unknown } }>('k')
      expect(own).toEqual(value)
      own?.list.push('mine')
      if (own !== undefined) own.at.yes = 'mine'
    }
    expect(decode).toHaveBeenCalledTimes(2)
    expect(readThrice('k')).toEqual(value)
    expect(near.getSync('k')).not.toBe(readThrice('k'))
    // The first of these wrote nothing; a copy of what is frozen is not.
    expect(Object.isFrozen(near.getSync('k'))).toBe(false)
    expect(decode).toHaveBeenCalledTimes(2)
  })

  it('is not changed through what others were given', async () => {
    await place.cache.set('k', { list: [1] })
    const kept = readThrice('k')
    const own = near.getSync<{ list: number[] }>('k')
    expect(own).toEqual(kept)
    expect(own).not.toBe(kept)
    own?.list.push(2)
    expect(near.getSync('k', { frozen: true })).toEqual({ list: [1] })
  })

  it('is a copy when freezing would not protect it', async () => {
    for (const value of [{ at: new Date(5) }, [Buffer.from('x')], { m: new Map([[1, 2]]) }, new Set([1])]) {
      await place.cache.set('k', value)
      const first = readThrice('k')
      const second = near.getSync('k', { frozen: true })
      expect(second).toEqual(value)
      expect(second).not.toBe(first)
      expect(Object.isFrozen(second)).toBe(false)
    }
  })

  it('counts as a hit each time, and a missing one as a miss', async () => {
    await place.cache.set('k', 'v')
    const before = await near.stats()
    for (let read = 0; read < 1000; read++) expect(near.getSync('k')).toBe('v')
    for (let read = 0; read < 10; read++) expect(near.getSync('none')).toBeUndefined()
    const after = await place.cache.stats()
    expect(after.hits - before.hits).toBe(1000)
    expect(after.misses - before.misses).toBe(10)
  })

  it('keeps its entry in memory as any read does', async () => {
    await near.close()
    await plain.close()
    await place.end()
    await begin({ memory: '1mb' })
    const { cache } = place
    await cache.set('k', 'hot')
    for (let index = 0; index < 20_000; index++) {
      await cache.set(`other:${index}`, 'x'.repeat(100))
      expect(near.getSync('k')).toBe('hot')
    }
    expect((await cache.stats()).tiers.ram.evictions).toBeGreaterThan(5000)
  })

  it('is gone with a delete, a clear, its expiry, and the owner', async () => {
    const { cache } = place
    await cache.set('k', 'v')
    expect(readThrice('k')).toBe('v')
    await cache.delete('k')
    expect(near.getSync('k')).toBeUndefined()
    await cache.set('k', 'w')
    expect(readThrice('k')).toBe('w')
    await cache.clear()
    expect(near.getSync('k')).toBeUndefined()
    await cache.set('k', 'tagged', { tags: ['t'] })
    expect(readThrice('k')).toBe('tagged')
    await cache.invalidateTags(['t'])
    expect(near.getSync('k')).toBeUndefined()
    await cache.set('k', 'x', { ttl: 1000 })
    expect(readThrice('k')).toBe('x')
    place.advance(999)
    expect(near.getSync('k')).toBe('x')
    place.advance(1)
    expect(near.getSync('k')).toBeUndefined()
    await cache.set('k', 'y')
    expect(readThrice('k')).toBe('y')
    await cache.close()
    expect(() => near.getSync('k')).toThrow(expect.objectContaining({ code: 'ERR_RAMCACHE_CLOSED' }))
  })

  it('is gone when the cache that read it is closed', async () => {
    await place.cache.set('k', 'v')
    expect(readThrice('k')).toBe('v')
    await near.close()
    expect(() => near.getSync('k')).toThrow(expect.objectContaining({ code: 'ERR_RAMCACHE_CLOSED' }))
  })

  it('is what another process has just been acknowledged to have written', async () => {
    await using owner = await startOwner()
    await using reader = await attach({ dir: owner.dir, nearEntries: 16 })
    for (let round = 0; round < 500; round++) {
      await owner.child.call('set', 'k', `value ${round}`)
      for (let read = 0; read < 3; read++) expect(reader.getSync('k')).toBe(`value ${round}`)
    }
  })
})

describe('whatever is done to the store', () => {
  const seed = testSeed('near cache')
  it.each(['512kb', '8mb'])(
    `a near read is what a lookup says, with ${'%s'} (seed ${seed})`,
    async (memory) => {
      await near.close()
      await plain.close()
      await place.end()
      // Small enough that it evicts, moves and recycles; with the larger one the index grows.
      await begin({ memory })
      const { cache } = place
      const random = new Prng(seed)
      const pick = (count: number) => random.below(count)
      const keys = Array.from({ length: 40 }, (_, index) => `key:${index}`)
      let filler = 0
      let found = 0
      for (let step = 0; step < 30_000; step++) {
        const key = keys[pick(keys.length)] as string
        switch (pick(12)) {
          case 0:
            await cache.set(key, `text ${step}`)
            break
          case 1:
            await cache.set(key, { step, list: [step] })
            break
          case 2:
            await cache.set(key, step, { ttl: 1 + pick(50) })
            break
          case 3:
            await cache.delete(key)
            break
          case 4:
            await cache.touch(key, 1 + pick(50))
            break
          case 5:
            if (pick(50) === 0) await cache.clear()
            else if (pick(4) === 0) await cache.invalidateTags(['t'])
            break
          case 6:
            place.advance(pick(10))
            break
          case 7:
            await cache.set(key, 'tagged', { tags: ['t'], idle: 20 })
            break
          default:
            for (let count = 0; count < 4; count++)
              await cache.set(`filler:${filler++}`, 'x'.repeat(pick(300)))
        }
        for (let read = 0; read < 3; read++) {
          const looked = keys[pick(keys.length)] as string
          const isFrozen = pick(2) === 0
          // The lookup last: what the near cache must not have is what is gone by then.
          const before = near.getSync(looked, { frozen: isFrozen })
          expect(before, `${looked} at step ${step}`).toEqual(plain.getSync(looked))
          if (!isFrozen && typeof before === 'object') (before as { list: unknown[] }).list.push('mine')
          if (before !== undefined) found++
        }
      }
      expect(found).toBeGreaterThan(1000)
    },
  )
})

async function startOwner() {
  const folder = await openEmbedded()
  await folder.cache.close()
  const child = await OwnerProcess.start(folder.dir)
  return {
    dir: folder.dir,
    child,
    [Symbol.asyncDispose]: async () => {
      await child.kill('SIGKILL')
      await folder.end()
    },
  }
}
