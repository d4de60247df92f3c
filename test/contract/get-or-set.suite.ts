import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, it, vi } from 'vitest'
import { RamcacheError } from '../../src/index.ts'
import { failure } from '../support/errors.ts'
import type { Subject } from './cache.suite.ts'

/** A promise that is settled from outside. */
function gate<T = void>() {
  let open: (value: T) => void = () => {}
  let fail: (error: unknown) => void = () => {}
  const opened = new Promise<T>((resolve, reject) => {
    open = resolve
    fail = reject
  })
  return { opened, open, fail }
}

/** A factory that waits to be told what it makes, and says when it has been called. */
function slow<T>() {
  const called = gate()
  const made = gate<T>()
  const factory = vi.fn(() => {
    called.open()
    return made.opened
  })
  return { factory, called: called.opened, make: made.open, fail: made.fail }
}

/** What happens in the background is waited for as long as the test may take. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await nextTurn()
}

export function getOrSetContract(subject: Subject): void {
  it('computes what is missing, and gives what is there', async () => {
    const { cache } = subject
    const factory = vi.fn(async () => ({ name: 'n', list: [1] }))
    expect(await cache.getOrSet('k', factory)).toEqual({ name: 'n', list: [1] })
    expect(await cache.getOrSet('k', factory)).toEqual({ name: 'n', list: [1] })
    expect(await cache.get('k')).toEqual({ name: 'n', list: [1] })
    expect(factory).toHaveBeenCalledTimes(1)
    expect(await cache.getOrSet(Buffer.from('k'), factory)).toEqual({ name: 'n', list: [1] })
    expect(await cache.namespace('other').getOrSet('k', () => 'another')).toBe('another')
  })

  it('computes once for a thousand callers, each of which gets a value of its own', async () => {
    const { cache } = subject
    const { factory, called, make } = slow<{ list: number[] }>()
    const answers = Array.from({ length: 1000 }, () => cache.getOrSet('k', factory))
    await called
    make({ list: [1] })
    const values = await Promise.all(answers)
    expect(factory).toHaveBeenCalledTimes(1)
    expect(values.every(({ list }) => list.length === 1)).toBe(true)
    values[0]?.list.push(2)
    expect(values[1]).toEqual({ list: [1] })
    expect(new Set(values).size).toBe(1000)
  })

  it('stores with the ttl and tags of the call, of the factory, or of null', async () => {
    const { cache } = subject
    await cache.getOrSet('call', () => 1, { ttl: '10s', tags: ['a'] })
    await cache.getOrSet(
      'factory',
      ({ setTtl, setTags }) => {
        setTtl('20s')
        setTags(['b', 'c'])
        return 1
      },
      { ttl: '10s', tags: ['a'] },
    )
    expect(await cache.getOrSet('null', () => null, { ttl: '10s', negativeTtl: '1s' })).toBe(null)
    const lifetime = async (key: string) => {
      const entry = await cache.getEntry(key)
      return [(entry?.expiresAt ?? 0) - (entry?.createdAt ?? 0), entry?.tags]
    }
    expect(await lifetime('call')).toEqual([10_000, ['a']])
    expect(await lifetime('factory')).toEqual([20_000, ['b', 'c']])
    expect(await lifetime('null')).toEqual([1000, []])
    expect(await cache.getOrSet('null', () => 1)).toBe(null)
    await subject.advance(1000)
    expect(await cache.getOrSet('null', () => 1)).toBe(1)
  })

  it('shortens lifetimes by a random share', async () => {
    const { cache } = subject
    const lifetimes = new Set<number>()
    for (let n = 0; n < 20; n++) {
      await cache.getOrSet(`k${n}`, () => n, { ttl: 1_000_000, jitter: 0.1 })
      const entry = await cache.getEntry(`k${n}`)
      const lifetime = (entry?.expiresAt ?? 0) - (entry?.createdAt ?? 0)
      expect(lifetime).toBeGreaterThanOrEqual(900_000)
      expect(lifetime).toBeLessThanOrEqual(1_000_000)
      lifetimes.add(lifetime)
    }
    expect(lifetimes.size).toBeGreaterThan(1)
  })

  it('stores nothing of undefined, and nothing that is skipped', async () => {
    const { cache } = subject
    expect(await cache.getOrSet('k', () => undefined)).toBe(undefined)
    expect(await cache.getOrSet('k', ({ skip }) => skip())).toBe(undefined)
    expect(await cache.has('k')).toBe(false)
    expect(await cache.getOrSet('k', () => 1)).toBe(1)
  })

  it('gives all callers the error of the factory, and computes again for the next', async () => {
    const { cache } = subject
    const { factory, called, fail } = slow<number>()
    const answers = Promise.allSettled([cache.getOrSet('k', factory), cache.getOrSet('k', factory)])
    await called
    fail(new Error('no row'))
    for (const answer of await answers) expect(answer).toMatchObject({ reason: { message: 'no row' } })
    expect(factory).toHaveBeenCalledTimes(1)
    await expect(cache.getOrSet('k', ({ fail }) => fail('on purpose'))).rejects.toThrow('on purpose')
    expect(await cache.getOrSet('k', () => 2)).toBe(2)
  })

  it.each<[string, (subject: Subject) => Promise<unknown>]>([
    ['a delete of what is not there', ({ cache }) => cache.delete('k')],
    ['a set', ({ cache }) => cache.set('k', 'newer')],
    ['a group', ({ cache }) => cache.setMany([['k', 'newer']])],
    ['a set and a delete', ({ cache }) => cache.set('k', 'newer').then(() => cache.delete('k'))],
    ['a clear', ({ cache }) => cache.clear()],
  ])('never stores over %s what was computed before it', async (_, change) => {
    const { cache } = subject
    const { factory, called, make } = slow<string>()
    const first = cache.getOrSet('k', factory)
    await called
    await change(subject)
    const before = await cache.get('k')
    // This caller comes after the change.
    const second = cache.getOrSet('k', () => 'computed after it')
    make('old')
    expect(await first).toBe('old')
    expect(await second).toBe(before ?? 'computed after it')
    expect(await cache.get('k')).toBe(before ?? 'computed after it')
  })

  it('gives what is stale at once while one computes', async () => {
    const { cache } = subject
    const options = { ttl: 1000, grace: 5000 }
    await cache.getOrSet('k', () => ({ n: 1 }), options)
    await subject.advance(1000)
    expect(await cache.get('k')).toBe(undefined)
    expect(await cache.has('k')).toBe(false)
    const { factory, called, make } = slow<{ n: number }>()
    const [first, second] = await Promise.all([
      cache.getOrSet('k', factory, options),
      cache.getOrSet('k', factory, options),
    ])
    expect([first, second]).toEqual([{ n: 1 }, { n: 1 }])
    expect(first).not.toBe(second)
    await called
    make({ n: 2 })
    await until(async () => (await cache.get<{ n: number }>('k'))?.n === 2)
    expect(factory).toHaveBeenCalledTimes(1)
  })

  it('waits for the fresh value as long as it is told to', async () => {
    const { cache } = subject
    const options = { ttl: 1000, grace: 5000, timeout: 60_000 }
    await cache.getOrSet('k', () => 1, options)
    await subject.advance(1000)
    expect(await cache.getOrSet('k', () => 2, options)).toBe(2)
  })

  it('gives a caller without a grace nothing stale', async () => {
    const { cache } = subject
    await cache.getOrSet('k', () => 1, { ttl: 1000, grace: 5000 })
    await subject.advance(1000)
    expect(await cache.getOrSet('k', () => 2)).toBe(2)
  })

  it('gives what is stale instead of an error, and leaves the factory alone for a while', async () => {
    const { cache } = subject
    const options = { ttl: 1000, grace: 60_000, timeout: 60_000, graceBackoff: 5000 }
    await cache.getOrSet('k', () => 1, options)
    await subject.advance(1000)
    const failing = vi.fn(async ({ gracedEntry }: { gracedEntry: { value: number } | undefined }) => {
      expect(gracedEntry).toEqual({ value: 1 })
      throw new Error('down')
    })
    expect(await cache.getOrSet('k', failing, options)).toBe(1)
    expect(await cache.getOrSet('k', failing, options)).toBe(1)
    expect(failing).toHaveBeenCalledTimes(1)
    // Who takes nothing stale computes for itself.
    expect(await cache.getOrSet('k', () => 3)).toBe(3)
    await subject.advance(5000)
    expect(await cache.getOrSet('k', () => 2, options)).toBe(2)
  })

  it('has nothing stale any more after the grace, a delete or a clear', async () => {
    const { cache } = subject
    const options = { ttl: 1000, grace: 1000 }
    for (const key of ['over', 'deleted']) await cache.getOrSet(key, () => 1, options)
    await subject.advance(1000)
    expect(await cache.delete('deleted')).toBe(false)
    expect(await cache.getOrSet('deleted', () => 2, options)).toBe(2)
    await subject.advance(1000)
    expect(await cache.getOrSet('over', () => 2, options)).toBe(2)
    await subject.advance(1000)
    await cache.clear()
    expect(await cache.getOrSet('over', () => 3, options)).toBe(3)
  })

  it('computes ahead of the end of a value, in the background', async () => {
    const { cache } = subject
    const options = { ttl: 1000, eagerRefresh: 0.8 }
    await cache.getOrSet('k', () => 1, options)
    await subject.advance(799)
    const factory = vi.fn(() => 2)
    expect(await cache.getOrSet('k', factory, options)).toBe(1)
    expect(factory).not.toHaveBeenCalled()
    // Without the memory of the store nobody here knows how old a value is: it is computed when it has ended.
    const { isUnmapped = false } = subject
    await subject.advance(isUnmapped ? 201 : 1)
    expect(await cache.getOrSet('k', factory, options)).toBe(isUnmapped ? 2 : 1)
    await until(async () => (await cache.get('k')) === 2)
    expect(factory).toHaveBeenCalledTimes(1)
  })

  it('ends a call after its hardTimeout, and stores what comes later', async () => {
    const { cache } = subject
    const { factory, called, make } = slow<number>()
    const error = await failure('ERR_RAMCACHE_TIMEOUT', () =>
      cache.getOrSet('k', factory, { hardTimeout: 1 }),
    )
    expect(error.message).toContain('hardTimeout of 1 ms')
    await called
    make(1)
    await until(async () => (await cache.get('k')) === 1)
  })

  it('ends a call with its signal, and tells the factory when nobody waits any more', async () => {
    const { cache } = subject
    const aborted = gate()
    const called = gate()
    const factory = ({ signal }: { signal: AbortSignal }) => {
      signal.addEventListener('abort', () => aborted.open())
      called.open()
      return aborted.opened.then(() => 'too late')
    }
    const controllers = [new AbortController(), new AbortController()] as const
    const answers = controllers.map(({ signal }) => cache.getOrSet('k', factory, { signal }))
    await called.opened
    controllers[0].abort(new Error('first'))
    await expect(answers[0]).rejects.toThrow('first')
    controllers[1].abort(new Error('second'))
    await expect(answers[1]).rejects.toThrow('second')
    await aborted.opened
    await expect(cache.getOrSet('k', () => 1, { signal: controllers[0].signal })).rejects.toThrow('first')
  })

  it('returns what cannot be stored, unless it is strict', async () => {
    const { cache } = subject
    const unfit = () => ({ run: () => 1 })
    expect(await cache.getOrSet('k', unfit)).toMatchObject({ run: expect.any(Function) })
    expect(await cache.has('k')).toBe(false)
    await failure('ERR_RAMCACHE_VALUE', () => cache.getOrSet('k', unfit, { strict: true }))
    expect(await cache.getOrSet('k', () => 1)).toBe(1)
  })

  it('gives out frozen values where the cache does', async () => {
    const cache = subject.cache.namespace('frozen', { frozen: true })
    const answers = await Promise.all(
      [1, 2].map(() => cache.getOrSet('k', () => ({ list: [1] }), { ttl: 1000, grace: 1000 })),
    )
    for (const value of answers) expect(Object.isFrozen(value.list)).toBe(true)
    await subject.advance(1000)
    const { factory, make } = slow<{ list: number[] }>()
    const stale = await cache.getOrSet('k', factory, { ttl: 1000, grace: 1000 })
    make({ list: [2] })
    expect([stale.list[0], Object.isFrozen(stale.list)]).toEqual([1, true])
  })

  it.each<[string, unknown, string]>([
    ['an unknown option', { grase: 1 }, 'did you mean grace?'],
    ['an option of another call', { idle: 1000 }, 'unknown option "idle"'],
    ['a negative grace', { grace: -1 }, 'grace of getOrSet() is -1'],
    ['a grace of too long', { grace: '50d' }, 'above the maximum of 4294967295 ms'],
    [
      'a share above one',
      { eagerRefresh: 1.5 },
      'eagerRefresh of getOrSet() must be a share between 0 and 1',
    ],
    ['a jitter that is no number', { jitter: '10%' }, 'jitter of getOrSet()'],
    ['a hardTimeout of nothing', { hardTimeout: 0 }, 'hardTimeout of getOrSet() is 0'],
    ['a strictness that is no flag', { strict: 1 }, 'strict of getOrSet() must be true or false'],
    ['tags that are no list', { tags: 'a' }, 'tags of'],
    ['a ttl of nothing', { ttl: 0 }, 'ttl of'],
  ])('refuses %s', async (_, options, words) => {
    const factory = vi.fn(() => 1)
    const error = await failure('ERR_RAMCACHE_CONFIG', () =>
      subject.cache.getOrSet('k', factory, options as never),
    )
    expect(error.message).toContain(words)
    expect(factory).not.toHaveBeenCalled()
  })

  it('refuses what is no factory, and bad keys', async () => {
    const { cache } = subject
    await failure('ERR_RAMCACHE_CONFIG', () => cache.getOrSet('k', 1 as never))
    await failure('ERR_RAMCACHE_KEY', () => cache.getOrSet('', () => 1))
    await failure('ERR_RAMCACHE_KEY', () => cache.getOrSet('x'.repeat(5000), () => 1))
    await expect(cache.getOrSet('k', ({ setTtl }) => setTtl('never'))).rejects.toBeInstanceOf(RamcacheError)
    await cache.close()
    await failure('ERR_RAMCACHE_CLOSED', () => cache.getOrSet('k', () => 1))
  })
}
