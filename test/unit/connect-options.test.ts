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

  it('is a daemon over TCP', () => {
    const remote = { host: 'host', port: 6379, password: undefined, tls: undefined }
    expect(valid('redis://host')).toMatchObject({ path: 'redis://host:6379', remote })
    expect(valid('redis://default:a%20b@host:1/0').remote).toEqual({ ...remote, port: 1, password: 'a b' })
    expect(valid('redis://:in-url@host', { password: 'given' }).remote?.password).toBe('given')
    expect(valid('redis://[::1]:7').remote).toEqual({ ...remote, host: '::1', port: 7 })
    expect(valid('rediss://host').remote?.tls).toEqual({ servername: 'host' })
    expect(valid('rediss://127.0.0.1', { tls: { ca: 'pem' } }).remote?.tls).toEqual({ ca: 'pem' })
  })

  it('says what is wrong without the password', async () => {
    for (const url of [
      'redis://:secret@host/3',
      'redis://:secret@',
      'redis://u:secret@host',
      'redis://:secret@h:x',
    ]) {
      const error = await failure('ERR_RAMCACHE_CONFIG', () => valid(url))
      expect(error.message).not.toContain('secret')
    }
  })

  it.each<[unknown, unknown, string]>([
    [undefined, undefined, 'not undefined'],
    ['', undefined, 'not ""'],
    ['http://localhost', undefined, 'not http://'],
    ['redis://', undefined, 'is followed by HOST'],
    ['redis://host:port', undefined, 'URL that is none'],
    ['redis://host/3', undefined, 'is not followed by anything'],
    ['redis://host?db=1', undefined, 'is not followed by anything'],
    ['redis://admin:secret@host', undefined, 'not "admin"'],
    ['redis://host', { tls: {} }, 'is for rediss://'],
    ['redis://host', { nearEntries: 1 }, 'for shared memory'],
    ['redis://host', { password: '' }, 'non-empty string'],
    ['rediss://host', { tls: { certificate: 'x' } }, 'unknown option "certificate"'],
    ['rediss://host', { tls: { rejectUnauthorized: 0 } }, 'true or false, not 0'],
    ['/a', { password: 'x' }, 'is for redis://'],
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
