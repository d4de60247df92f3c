/** Where `connect()` leads, and what it is told. */
import { describe, expect, it } from 'vitest'
import { validateConnect } from '../../src/config/connect-options.ts'
import { failure } from '../support/errors.ts'

describe('where connect() leads', () => {
  const valid = (url: unknown, options?: unknown) => validateConnect(url, options)

  it('is the path of a socket, as it is or behind unix://', () => {
    expect(valid('/run/a.sock')).toEqual({
      path: '/run/a.sock',
      ownerTimeoutMs: 10_000,
      nearEntries: 8192,
      isFrozen: false,
    })
    expect(valid('unix:///run/a%20b.sock', { ownerTimeout: '1s', nearEntries: 0, frozen: true })).toEqual({
      path: '/run/a b.sock',
      ownerTimeoutMs: 1000,
      nearEntries: 0,
      isFrozen: true,
    })
    expect(valid('a.sock').path).toBe(`${process.cwd()}/a.sock`)
  })

  it.each<[unknown, unknown, string]>([
    [undefined, undefined, 'not undefined'],
    ['', undefined, 'not ""'],
    ['redis://localhost', undefined, 'is not supported'],
    ['unix://run/a.sock', undefined, 'an absolute path'],
    ['unix:///%zz', undefined, 'begins no character'],
    ['/a', null, 'must be an object'],
    ['/a', { timeout: 1 }, 'unknown option "timeout"'],
    ['/a', { ownerTimeout: -1 }, 'ownerTimeout of connect()'],
  ])('is not %j with %j', async (url, options, message) => {
    const error = await failure('ERR_RAMCACHE_CONFIG', () => valid(url, options))
    expect(error.message).toContain(message)
  })
})
