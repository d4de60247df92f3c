/** `ramcache/next`, called as Next calls it. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { cacheHandler, type NextCacheHandler, type NextCacheOptions } from '../../src/adapters/next.ts'
import type { Cache } from '../../src/index.ts'
import { failure } from '../support/errors.ts'
import { openEmbedded } from '../support/stores.ts'
import { inPlacements } from './placements.ts'

const page = (tags: string) => ({
  kind: 'APP_PAGE',
  html: '<html>',
  rscData: Buffer.from([0, 255, 1]),
  segmentData: new Map([
    ['/_tree', Buffer.from('tree')],
    ['/page', Buffer.from([0xc3, 0x28])],
  ]),
  headers: { 'x-next-cache-tags': tags, vary: ['rsc', 'next-url'], link: undefined },
  postponed: undefined,
  status: undefined,
})

const answer = (body = 'body') => ({
  kind: 'FETCH',
  data: { headers: { 'content-type': 'text/plain' }, body, status: 200, url: 'http://127.0.0.1/' },
  revalidate: 60,
})

inPlacements('the cache handler of Next', (placement) => {
  let handler: NextCacheHandler

  const make = (options?: NextCacheOptions, revalidatedTags: string[] = []) => {
    const Handler = cacheHandler(placement().cache, options)
    return new Handler({ revalidatedTags })
  }

  /** Moves the wall clock of this process alone. */
  function at(ms: number): void {
    vi.setSystemTime(ms)
  }

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['Date'], now: 1_800_000_000_000 })
    handler = make()
  })
  afterEach(() => vi.useRealTimers())

  it('gives back pages, routes, answers and images as they were', async () => {
    const image = {
      kind: 'IMAGE',
      etag: 'e',
      upstreamEtag: '',
      buffer: Buffer.alloc(300, 7),
      extension: 'webp',
    }
    const route = {
      kind: 'APP_ROUTE',
      body: Buffer.from('route'),
      status: 200,
      headers: { 'x-a': ['1', '2'] },
    }
    const values = {
      '/page': page('a,b'),
      '/route': route,
      '/pages': {
        kind: 'PAGES',
        html: '<p>',
        pageData: { pageProps: { list: [1, undefined, null] } },
        headers: undefined,
      },
      '/redirect': { kind: 'REDIRECT', props: { pageProps: { __N_REDIRECT: '/' } } },
      '/image': image,
      [`/${'long'.repeat(2000)}`]: answer(),
    }
    for (const [key, value] of Object.entries(values)) await handler.set(key, value, {})
    for (const [key, value] of Object.entries(values)) {
      const found = await handler.get(key, {})
      expect(found?.lastModified).toBe(1_800_000_000_000)
      if (key !== '/pages') expect(found?.value).toEqual(value)
    }
    const { value } = (await handler.get('/page')) ?? {}
    expect(Buffer.isBuffer(value.rscData)).toBe(true)
    expect(Buffer.isBuffer(value.segmentData.get('/page'))).toBe(true)
    expect((await handler.get('/pages'))?.value.pageData).toEqual({ pageProps: { list: [1, null, null] } })
    expect(await handler.get('/none')).toBeNull()
    await handler.set('/missing', null)
    expect(await handler.get('/missing')).toEqual({ lastModified: 1_800_000_000_000, value: null })
  })

  it('forgets pages and routes by the tags of their headers', async () => {
    await handler.set('/a', page('one,two'))
    await handler.set('/b', page('two,_N_T_/b'))
    await handler.set('/c', {
      kind: 'APP_ROUTE',
      body: Buffer.from('c'),
      status: 200,
      headers: { 'x-next-cache-tags': 'three' },
    })
    await handler.revalidateTag('one')
    const found = async () =>
      Promise.all(['/a', '/b', '/c'].map(async (key) => (await handler.get(key)) !== null))
    expect(await found()).toEqual([false, true, true])
    await handler.revalidateTag(['three', '_N_T_/b'])
    expect(await found()).toEqual([false, false, false])
    // Within the same millisecond, and after it.
    await handler.set('/a', page('one,two'))
    at(1_800_000_000_001)
    await handler.set('/b', page('two,_N_T_/b'))
    expect(await found()).toEqual([true, true, false])
    handler.resetRequestCache()
    expect(await found()).toEqual([true, true, false])
  })

  it('forgets answers by tags that they were stored with and read with', async () => {
    await handler.set('stored', answer(), { tags: ['posts'] })
    await handler.set('soft', answer())
    await handler.set('own', { ...answer(), tags: ['mine'] })
    expect(await handler.get('soft', { tags: ['other'], softTags: ['_N_T_/layout'] })).not.toBeNull()
    await handler.revalidateTag(['posts', '_N_T_/layout', 'mine'])
    expect(await handler.get('stored', {})).toBeNull()
    expect(await handler.get('soft', { softTags: ['_N_T_/layout'] })).toBeNull()
    expect(await handler.get('soft', {})).not.toBeNull()
    expect(await handler.get('own', {})).toBeNull()
    const revalidating = make({}, ['header'])
    expect(await revalidating.get('soft', { tags: ['header'] })).toBeNull()
    expect(await handler.get('soft', { tags: ['header'] })).not.toBeNull()
  })

  it('serves what is stale until it expires, where that was asked for', async () => {
    await handler.set('/a', page('one'))
    at(1_800_000_001_000)
    await handler.revalidateTag('one', { expire: 10 })
    expect(await handler.get('/a')).toMatchObject({ lastModified: -1, value: { html: '<html>' } })
    // A later call gives no more time to what is stale already.
    await handler.revalidateTag('one', { expire: 100 })
    await handler.revalidateTag('one', {})
    await handler.set('/new', page('one'))
    at(1_800_000_010_999)
    expect((await handler.get('/a'))?.lastModified).toBe(-1)
    at(1_800_000_011_000)
    expect(await handler.get('/a')).toBeNull()
    expect((await handler.get('/new'))?.lastModified).toBe(1_800_000_001_001)
    await handler.revalidateTag('one')
    expect(await handler.get('/new')).toBeNull()
  })

  it('does not bring entries back when the clock is set back', async () => {
    at(1_800_000_005_000)
    await handler.revalidateTag('one')
    await handler.set('/a', page('one'))
    at(1_800_000_000_000)
    expect(await handler.get('/a')).not.toBeNull()
    await handler.set('/b', page('one'))
    expect(await handler.get('/b')).not.toBeNull()
  })

  it('drops entries when they expire, and keeps marks longer', async () => {
    await handler.set('/short', page('one'), { cacheControl: { revalidate: 1, expire: 60 } })
    await handler.set('/ever', page('one'), { cacheControl: { revalidate: false } })
    await handler.set('/over', page('one'), { cacheControl: { revalidate: 0, expire: 0 } })
    await handler.revalidateTag('one')
    const marks = placement().cache.namespace('next-tags')
    await placement().advance(60_001)
    const keys: string[] = []
    for await (const { key } of placement().cache.scan()) keys.push(key)
    expect(keys).toEqual(['next:/ever'])
    const entry = await placement().cache.getEntry('next:/ever')
    const mark = await marks.getEntry('one')
    expect(mark?.expiresAt).toBeGreaterThan(entry?.expiresAt as number)
  })

  it('keeps builds apart by their prefixes, and tags together', async () => {
    const [blue, green] = [make({ keyPrefix: 'blue:' }), make({ keyPrefix: 'green:' })]
    await blue.set('/a', page('one'))
    expect(await green.get('/a')).toBeNull()
    await green.set('/a', page('one'))
    await blue.revalidateTag('one')
    expect(await green.get('/a')).toBeNull()
  })

  it('takes what cannot be read for missing, and says why', async () => {
    const errors: Error[] = []
    const cache = placement().cache.namespace('app')
    const Handler = cacheHandler(cache, { errorCallback: (error) => errors.push(error) })
    await cache.close()
    expect(await new Handler().get('/a')).toBeNull()
    expect(errors).toMatchObject([{ code: 'ERR_RAMCACHE_CLOSED' }])
    await failure('ERR_RAMCACHE_CLOSED', () => new Handler().set('/a', page('one')))
  })

  it('agrees with other processes', async () => {
    vi.useRealTimers()
    const path = fileURLToPath(new URL('children/next-process.mjs', import.meta.url))
    const url = `unix://${join(placement().dir, 'ramcache.sock')}`
    const child = fork(path, [url], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      serialization: 'advanced',
    })
    const exited = once(child, 'exit')
    try {
      await next(child)
      const there = (method: string, ...args: unknown[]) => {
        child.send([method, ...args])
        return next(child)
      }
      await there('set', '/a', page('one'))
      expect((await handler.get('/a'))?.value).toEqual(page('one'))
      await handler.revalidateTag('one')
      expect(await there('get', '/a')).toBeNull()
      await handler.set('/a', page('one'))
      expect(await there('get', '/a')).toMatchObject({ value: { html: '<html>' } })
      await there('revalidateTag', ['one'])
      expect(await handler.get('/a')).toBeNull()
    } finally {
      child.kill('SIGKILL')
      await exited
    }
  })

  it('keeps marks of many processes for one tag', async () => {
    const handlers = Array.from({ length: 8 }, () => make())
    await handler.set('/a', page('one'))
    await Promise.all(
      handlers.map((one, index) => one.revalidateTag('one', index === 3 ? undefined : { expire: 60 })),
    )
    expect(await handler.get('/a')).toBeNull()
  })
})

/** More than twice what there is in memory; nothing of it is read. */
async function fill(cache: Cache, bytes: number): Promise<void> {
  for (let number = 0; number < 400; number++) await cache.set(`filler ${number}`, Buffer.alloc(bytes))
}

inPlacements(
  'marks of tags, above an SSD tier',
  (placement) => {
    it('are found when memory is short', async () => {
      const Handler = cacheHandler(placement().cache)
      const handler = new Handler()
      await handler.set('/a', page('one'))
      await handler.revalidateTag('one')
      await fill(placement().cache, 10_000)
      expect(await placement().cache.has('next:/a')).toBe(true)
      expect(await handler.get('/a')).toBeNull()
    })
  },
  { memory: '1mb', tiers: {} },
)

it('marks of tags stay in memory where there is nothing below it', async () => {
  const placement = await openEmbedded()
  const Handler = cacheHandler(placement.cache)
  await new Handler().set('/a', page('one'))
  await new Handler().revalidateTag('one')
  await fill(placement.cache, 50_000)
  expect(await placement.cache.has('next:/a')).toBe(false)
  expect(await placement.cache.namespace('next-tags').has('one')).toBe(true)
  await placement.end()
})

async function next(child: ChildProcess): Promise<unknown> {
  const [{ value }] = (await once(child, 'message')) as [{ value: unknown }]
  return value
}

describe('the cache handler of Next', () => {
  it('says what is wrong with its arguments', async () => {
    const cache = { get() {}, set() {}, namespace: () => cache } as unknown as Cache
    const define = (options: unknown) => () => cacheHandler(cache, options as NextCacheOptions)
    const unknown = await failure('ERR_RAMCACHE_CONFIG', define({ keyprefx: 'a' }))
    expect(unknown.message).toContain('did you mean keyPrefix?')
    for (const options of [{ keyPrefix: 1 }, { errorCallback: 'log' }, []]) {
      await failure('ERR_RAMCACHE_CONFIG', define(options))
    }
    await failure('ERR_RAMCACHE_CONFIG', () => cacheHandler({ get() {} } as never))
  })
})
