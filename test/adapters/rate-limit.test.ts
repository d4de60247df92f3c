/** `ramcache/rate-limit` under express-rate-limit and @fastify/rate-limit. */
import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import fastifyRateLimit from '@fastify/rate-limit'
import express from 'express'
import { type Options, rateLimit } from 'express-rate-limit'
import fastify, { type FastifyInstance } from 'fastify'
import { afterEach, expect, it } from 'vitest'
import { fastifyStore, RamcacheStore } from '../../src/adapters/rate-limit.ts'
import { failure } from '../support/errors.ts'
import { inPlacements } from './placements.ts'

inPlacements('express-rate-limit', (placement) => {
  const servers: Server[] = []

  /** A server behind a limit; answers with the status that its path names. */
  async function serve(options: Partial<Options>, store = new RamcacheStore(placement().cache)) {
    const app = express()
    app.use(
      rateLimit({ windowMs: 10_000, standardHeaders: 'draft-7', legacyHeaders: false, store, ...options }),
    )
    app.get('/:status', (request, response) => {
      response.status(Number(request.params.status)).end()
    })
    const server = app.listen(0)
    servers.push(server)
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    return async (status = 200) => {
      const answer = await fetch(`http://127.0.0.1:${port}/${status}`, { headers: { connection: 'close' } })
      return { status: answer.status, headers: answer.headers }
    }
  }

  afterEach(async () => {
    for (const server of servers.splice(0)) {
      server.close()
      await once(server, 'close')
    }
  })

  it('limits what several servers admit together', async () => {
    const one = await serve({ limit: 3 })
    const two = await serve({ limit: 3 })
    expect((await one()).headers.get('ratelimit')).toBe('limit=3, remaining=2, reset=11')
    expect((await two()).status).toBe(200)
    expect((await one()).status).toBe(200)
    const denied = await two()
    expect(denied.status).toBe(429)
    expect(Number(denied.headers.get('retry-after'))).toBeGreaterThanOrEqual(10)
    // What was denied does not count.
    for (let asked = 0; asked < 5; asked++) expect((await one()).status).toBe(429)
    await placement().advance(10_700)
    expect((await one()).status).toBe(200)
  })

  it('counts everything where the limit is made for each request, or hits are taken back', async () => {
    const dynamic = await serve(
      { limit: () => 2 },
      new RamcacheStore(placement().cache, { prefix: 'dynamic' }),
    )
    for (const status of [200, 200, 429, 429]) expect((await dynamic()).status).toBe(status)
    const skipping = await serve(
      { limit: 2, skipFailedRequests: true },
      new RamcacheStore(placement().cache, { prefix: 'skipping' }),
    )
    for (let asked = 0; asked < 5; asked++) expect((await skipping(500)).status).toBe(500)
    expect((await skipping()).status).toBe(200)
    expect((await skipping()).status).toBe(200)
    expect((await skipping()).status).toBe(429)
  })

  it('denies for the penalty, and nothing at all with a limit of 0', async () => {
    const store = new RamcacheStore(placement().cache, { penalty: '1m' })
    const ask = await serve({ limit: 1 }, store)
    expect((await ask()).status).toBe(200)
    expect((await ask()).headers.get('retry-after')).toBe('60')
    await placement().advance(59_000)
    expect((await ask()).status).toBe(429)
    await placement().advance(1_000)
    expect((await ask()).status).toBe(200)
    const closed = await serve(
      { limit: 0, validate: false },
      new RamcacheStore(placement().cache, { prefix: 'closed' }),
    )
    expect((await closed()).status).toBe(429)
  })

  it('looks keys up, takes hits back and resets', async () => {
    const store = new RamcacheStore(placement().cache)
    const handler = rateLimit({ windowMs: 10_000, limit: 3, store })
    expect(await handler.getKey('k')).toBe(undefined)
    expect(await store.increment('k')).toEqual({ totalHits: 1, resetTime: expect.any(Date) })
    expect((await store.increment('k')).totalHits).toBe(2)
    await store.decrement('k')
    expect((await handler.getKey('k'))?.totalHits).toBe(1)
    await handler.resetKey('k')
    await expect.poll(() => handler.getKey('k')).toBe(undefined)
    expect((await store.increment('x'.repeat(10_000))).totalHits).toBe(1)
    expect((await store.increment('x'.repeat(10_000))).totalHits).toBe(2)
  })

  it('refuses what is no cache and no option', async () => {
    await failure('ERR_RAMCACHE_CONFIG', () => new RamcacheStore({} as never))
    await failure('ERR_RAMCACHE_CONFIG', () => new RamcacheStore(placement().cache, { prefix: '' }))
    await failure('ERR_RAMCACHE_CONFIG', () => new RamcacheStore(placement().cache, { penalty: 'long' }))
    await failure('ERR_RAMCACHE_CONFIG', () => fastifyStore(placement().cache, { ttl: 1 } as never))
  })
})

inPlacements('@fastify/rate-limit', (placement) => {
  const apps: FastifyInstance[] = []

  async function serve(options: object): Promise<FastifyInstance> {
    const app = fastify()
    apps.push(app)
    await app.register(fastifyRateLimit, {
      max: 3,
      timeWindow: 10_000,
      store: fastifyStore(placement().cache),
      ...options,
    })
    app.get('/', () => 'all')
    app.get('/own', { config: { rateLimit: { max: 1, timeWindow: '5s' } } }, () => 'own')
    app.get('/one', { config: { rateLimit: { groupId: 'both', max: 1 } } }, () => 'one')
    app.get('/two', { config: { rateLimit: { groupId: 'both', max: 1 } } }, () => 'two')
    return app
  }
  const ask = async (app: FastifyInstance, url = '/') => {
    const { statusCode, headers } = await app.inject(url)
    return { statusCode, headers }
  }

  afterEach(async () => {
    for (const app of apps.splice(0)) await app.close()
  })

  it('limits what several servers admit together, and routes by themselves', async () => {
    const [one, two] = [await serve({}), await serve({})]
    const first = await ask(one)
    expect(first.headers).toMatchObject({ 'x-ratelimit-limit': '3', 'x-ratelimit-remaining': '2' })
    expect((await ask(two)).statusCode).toBe(200)
    expect((await ask(one)).statusCode).toBe(200)
    const denied = await ask(two)
    expect(denied.statusCode).toBe(429)
    expect(Number(denied.headers['retry-after'])).toBeGreaterThanOrEqual(10)
    expect((await ask(one, '/own')).statusCode).toBe(200)
    expect((await ask(two, '/own')).statusCode).toBe(429)
    expect((await ask(one, '/one')).statusCode).toBe(200)
    expect((await ask(two, '/two')).statusCode).toBe(429)
    await placement().advance(10_700)
    for (const url of ['/', '/own', '/two']) expect((await ask(one, url)).statusCode).toBe(200)
  })

  it('counts what was denied where that matters: bans, and those who go on asking', async () => {
    const bans = await serve({ ban: 1 })
    for (const status of [200, 200, 200, 429, 403]) expect((await ask(bans)).statusCode).toBe(status)
    const store = fastifyStore(placement().cache, { prefix: 'exceeding' })
    const exceeding = await serve({ continueExceeding: true, store })
    for (const status of [200, 200, 200, 429]) expect((await ask(exceeding)).statusCode).toBe(status)
    await placement().advance(9_000)
    for (let asked = 0; asked < 3; asked++) expect((await ask(exceeding)).statusCode).toBe(429)
    await placement().advance(2_000)
    expect((await ask(exceeding)).statusCode).toBe(429)
  })

  it('says what it does not have', async () => {
    await failure('ERR_RAMCACHE_CONFIG', () => serve({ exponentialBackoff: true }))
  })

  it('fails with the store, or lets pass, as it is told', async () => {
    const { cache } = placement()
    const store = fastifyStore(cache.namespace('closing'))
    const strict = await serve({ store })
    const lenient = await serve({ store, skipOnError: true })
    expect((await ask(strict)).statusCode).toBe(200)
    await cache.close()
    expect((await ask(strict)).statusCode).toBe(500)
    expect((await ask(lenient)).statusCode).toBe(200)
    await placement().reopen()
  })
})
