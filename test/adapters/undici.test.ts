/** `ramcache/undici` under undici's cache interceptor, in front of a web server. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { finished } from 'node:stream/promises'
import { Agent, type Dispatcher, interceptors, request } from 'undici'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { RamcacheCacheStore, type RamcacheCacheStoreOptions } from '../../src/adapters/undici.ts'
import type { Cache } from '../../src/index.ts'
import { failure } from '../support/errors.ts'
import { inPlacements } from './placements.ts'

let server: Server
let origin: string
let agent: Agent
/** What the server was asked, and what it answers. */
let asked: string[]
let answer: (request: IncomingMessage, response: ServerResponse) => void

beforeEach(async () => {
  asked = []
  agent = new Agent()
  server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    answer(request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})

afterEach(async () => {
  await agent.close()
  server.close()
  await once(server, 'close')
})

inPlacements('the cache store of undici', (placement) => {
  let store: RamcacheCacheStore
  let dispatcher: Dispatcher
  let errors: Error[]

  function use(options: RamcacheCacheStoreOptions = {}, cache = placement().cache): void {
    errors = []
    store = new RamcacheCacheStore(cache, { errorCallback: (error) => errors.push(error), ...options })
    // The types agree: undici takes it without a cast.
    dispatcher = agent.compose(interceptors.cache({ store }))
  }

  async function fetch(path: string, headers: Record<string, string> = {}, method = 'GET') {
    const answered = await request(`${origin}${path}`, { dispatcher, headers, method: method as 'GET' })
    return { text: await answered.body.text(), headers: answered.headers, status: answered.statusCode }
  }

  const key = (path: string, headers: Record<string, string> = {}) => ({
    origin,
    path,
    headers,
    method: 'GET',
  })

  /** undici does not wait until a response is stored. */
  async function isStored(path: string, headers: Record<string, string> = {}): Promise<void> {
    await expect.poll(() => store.get(key(path, headers))).toBeDefined()
  }

  beforeEach(() => use())

  it('answers again what it has stored, from another process too', async () => {
    answer = (_, response) => {
      response.setHeader('cache-control', 'public, max-age=60')
      response.setHeader('x-many', ['a', 'b'])
      response.end(`answer ${asked.length}`)
    }
    expect((await fetch('/a?b=1')).text).toBe('answer 1')
    await isStored('/a?b=1')
    const again = await fetch('/a?b=1')
    expect(again).toMatchObject({ text: 'answer 1', status: 200 })
    expect(again.headers).toMatchObject({ age: expect.any(String), 'x-many': ['a', 'b'] })
    expect((await fetch('/a?b=2')).text).toBe('answer 2')
    use({}, placement().cache)
    expect((await fetch('/a?b=1')).text).toBe('answer 1')
    expect(asked).toEqual(['GET /a?b=1', 'GET /a?b=2'])
    expect(errors).toEqual([])
  })

  it('keeps bodies as they are, empty ones too', async () => {
    const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, index) => (index * 7) % 256))
    answer = ({ url }, response) => {
      response.setHeader('cache-control', 'max-age=60')
      response.end(url === '/empty' ? '' : bytes)
    }
    for (const path of ['/bytes', '/empty']) {
      await fetch(path)
      await isStored(path)
      const { body } = await request(`${origin}${path}`, { dispatcher })
      expect(Buffer.from(await body.arrayBuffer()).equals(path === '/empty' ? Buffer.alloc(0) : bytes)).toBe(
        true,
      )
    }
    expect(asked).toEqual(['GET /bytes', 'GET /empty'])
  })

  it('tells variants of a response apart', async () => {
    answer = (request, response) => {
      response.setHeader('cache-control', 'max-age=60')
      response.setHeader('vary', 'accept-language, x-colour')
      response.end(`${request.headers['accept-language']} ${request.headers['x-colour']}`)
    }
    const variants = [
      { 'accept-language': 'de' },
      { 'accept-language': 'en', 'x-colour': 'red' },
      { 'x-colour': 'red' },
    ]
    for (const headers of variants) {
      await fetch('/page', headers as never)
      await isStored('/page', headers as never)
    }
    for (const headers of variants) {
      const { text } = await fetch('/page', { ...headers, 'x-other': 'o' } as never)
      expect(text).toBe(`${headers['accept-language']} ${headers['x-colour']}`)
    }
    expect(asked.length).toBe(3)
    expect((await fetch('/page', { 'accept-language': 'fr' })).text).toBe('fr undefined')
    expect(asked.length).toBe(4)
  })

  it('forgets all variants after an unsafe method', async () => {
    answer = (request, response) => {
      response.setHeader('cache-control', 'max-age=60')
      response.setHeader('vary', 'x-colour')
      response.end(`${request.method} ${asked.length}`)
    }
    for (const colour of ['red', 'blue']) {
      await fetch('/thing', { 'x-colour': colour })
      await isStored('/thing', { 'x-colour': colour })
    }
    await fetch('/other')
    await isStored('/other')
    expect((await fetch('/thing', {}, 'POST')).text).toBe('POST 4')
    // At once: undici has not waited for it.
    expect((await fetch('/thing', { 'x-colour': 'red' })).text).toBe('GET 5')
    expect((await fetch('/thing', { 'x-colour': 'blue' })).text).toBe('GET 6')
    expect((await fetch('/other')).text).toBe('GET 3')
    for (const colour of ['red', 'blue']) await isStored('/thing', { 'x-colour': colour })
    await store.delete({ ...key('/thing'), method: 'HEAD' })
    await isStored('/other')
    await store.delete(key('/other'))
    const left: string[] = []
    for await (const { key } of placement().cache.scan()) left.push(key)
    expect(left).toEqual([])
  })

  it('does not keep a body that is too large, for it or for the cache', async () => {
    use({ maxEntrySize: 1000 })
    answer = ({ url }, response) => {
      response.setHeader('cache-control', 'max-age=60')
      response.end('x'.repeat(url === '/small' ? 999 : url === '/large' ? 1000 : 3_000_000))
    }
    for (const path of ['/large', '/small', '/large']) expect((await fetch(path)).status).toBe(200)
    await isStored('/small')
    expect(await store.get(key('/large'))).toBeUndefined()
    expect(asked.length).toBe(3)
    // An eighth of the memory is what a value may take.
    use({ maxEntrySize: 10_000_000 })
    expect((await fetch('/huge')).text.length).toBe(3_000_000)
    await expect.poll(() => errors.length).toBe(1)
    expect(errors[0]).toMatchObject({ code: expect.stringMatching(/^ERR_RAMCACHE_(VALUE|FULL)$/) })
    expect(await store.get(key('/huge'))).toBeUndefined()
  })

  it('asks the server whether what is stale still holds', async () => {
    answer = (request, response) => {
      response.setHeader('cache-control', 'max-age=0, must-revalidate')
      response.setHeader('etag', '"one"')
      const isKnown = request.headers['if-none-match'] === '"one"'
      response.statusCode = isKnown ? 304 : 200
      response.end(isKnown ? '' : 'the body')
    }
    expect((await fetch('/tagged')).text).toBe('the body')
    await isStored('/tagged')
    expect(await fetch('/tagged')).toMatchObject({ text: 'the body', status: 200 })
    expect(asked.length).toBe(2)
  })

  it('ends a response when undici says so', async () => {
    const now = Date.now()
    const value = {
      statusCode: 200,
      statusMessage: 'OK',
      headers: {},
      cachedAt: now,
      staleAt: now,
      deleteAt: now + 10_000,
    }
    const write = async (path: string, deleteAt: number) => {
      const stream = store.createWriteStream(key(path), { ...value, deleteAt })
      if (stream !== undefined) await finished(stream.end('body'))
    }
    await write('/ends', now + 10_000)
    await write('/over', now - 1)
    const found = await store.get(key('/ends'))
    expect(found).toMatchObject({ statusCode: 200, deleteAt: now + 10_000, body: [Buffer.from('body')] })
    await write('/deleted', now + 10_000)
    const deleted = store.delete(key('/deleted'))
    expect(await store.get(key('/deleted'))).toBeUndefined()
    await deleted
    expect(await store.get(key('/over'))).toBeUndefined()
    await placement().advance(10_001)
    expect(await store.get(key('/ends'))).toBeUndefined()
    for await (const { key } of placement().cache.scan()) throw new Error(`${key} is still there`)
  })

  it('keeps a limited number of variants, and long URLs', async () => {
    const now = Date.now()
    const long = `/${'p'.repeat(5000)}`
    for (let number = 0; number < 110; number++) {
      const value = { statusCode: 200, statusMessage: '', headers: {}, cachedAt: now, staleAt: now }
      const vary = { vary: { cookie: `${number}` }, deleteAt: now + 60_000 + number }
      const stream = store.createWriteStream(key(long, { cookie: `${number}` }), { ...value, ...vary })
      if (stream !== undefined) await finished(stream.end('body'))
    }
    const found = await Promise.all(
      Array.from({ length: 110 }, (_, number) => store.get(key(long, { cookie: `${number}` }))),
    )
    expect(found.map((response) => response !== undefined)).toEqual([
      ...Array(10).fill(false),
      ...Array(100).fill(true),
    ])
  })

  it('lets requests pass when the cache is closed', async () => {
    const cache = placement().cache.namespace('closed')
    await cache.close()
    use({}, cache)
    answer = (_, response) => {
      response.setHeader('cache-control', 'max-age=60')
      response.end('body')
    }
    expect((await fetch('/a')).text).toBe('body')
    expect((await fetch('/a', {}, 'POST')).text).toBe('body')
    await expect.poll(() => errors.length).toBeGreaterThan(1)
    expect(errors[0]).toMatchObject({ code: 'ERR_RAMCACHE_CLOSED' })
  })
})

describe('the cache store of undici', () => {
  it('says what is wrong with its arguments', async () => {
    const cache = { get() {}, set() {} } as unknown as Cache
    const make = (options: unknown) => () =>
      new RamcacheCacheStore(cache, options as RamcacheCacheStoreOptions)
    const unknown = await failure('ERR_RAMCACHE_CONFIG', make({ maxEntriesSize: 1 }))
    expect(unknown.message).toContain('did you mean maxEntrySize?')
    for (const options of [
      { maxEntrySize: -1 },
      { maxEntrySize: 1.5 },
      { maxEntrySize: '1mb' },
      { errorCallback: 1 },
    ]) {
      await failure('ERR_RAMCACHE_CONFIG', make(options))
    }
    await failure('ERR_RAMCACHE_CONFIG', () => new RamcacheCacheStore({} as never))
  })
})
