/** phpredis, the extension of PHP, against a daemon: `phpredis.php` does it, one part at a time. */
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runProgram, Served } from './support.ts'

const script = fileURLToPath(new URL('phpredis.php', import.meta.url))
const from = 'php-cli php-redis'

let served: Served

async function php(part: string): Promise<unknown> {
  // Errors are exceptions or lines on stderr, never part of the answer.
  const ended = await runProgram('php', ['-d', 'display_errors=stderr', script, served.socket, part], {
    from,
  })
  expect(ended).toMatchObject({ code: 0, stderr: '' })
  return JSON.parse(ended.stdout)
}

beforeAll(async () => {
  const { stdout } = await runProgram('php', ['-m'], { from })
  if (!/^redis$/m.test(stdout)) throw new Error(`PHP has no phpredis; on Debian: apt-get install ${from}`)
  served = await Served.start()
})
afterAll(() => served?.end())

describe('phpredis', () => {
  it('stores strings, bytes, numbers and what PHP serializes', async () => {
    expect(await php('strings')).toEqual({
      set: true,
      again: false,
      get: 'value',
      none: false,
      ttl: true,
      bytes: '00ff0d0a',
      mset: true,
      mget: ['1', '2', false],
      incr: [1, 42, 42.5],
      setex: true,
      exists: 1,
      type: true,
      del: 2,
      error: false,
      lastError: "ERR unknown command 'LPUSH', with args beginning with: 'list' 'x'",
      serialized: { name: 'Ada', tags: [1, 2] },
    })
  })

  it('has transactions and pipelines', async () => {
    expect(await php('transactions')).toEqual({
      multi: [true, 2, '2'],
      pipeline: [true, '1', false],
      watched: false,
      kept: 'changed',
    })
  })

  it('scans', async () => {
    expect(await php('scans')).toEqual({ keys: 500, size: 501, info: 'master' })
  })

  it('hears what is published', async () => {
    const redis = new Redis(served.socket)
    const heard = php('subscribes')
    await expect.poll(() => redis.publish('news', 'ready?')).toBe(1)
    await redis.publish('news', 'hello')
    expect(await heard).toEqual(['news hello'])
    redis.disconnect()
  })

  it('keeps persistent connections and databases apart', async () => {
    expect(await php('persistent')).toEqual({ same: true, other: 0 })
  })

  it('keeps sessions of PHP', async () => {
    expect(await php('sessions')).toEqual({ visits: [1, 2, 3], ttl: true, left: 0 })
  })

  it('locks them for as long as the lock lives', async () => {
    expect(await php('locks')).toEqual({ held: true, user: 'Ada' })
  })
})
