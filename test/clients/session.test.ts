/** connect-redis, the session store of express-session, against a daemon. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { RedisStore } from 'connect-redis'
import session, { type SessionData } from 'express-session'
import { createClient } from 'redis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Served } from './support.ts'

let served: Served
let client: ReturnType<typeof createClient>
let store: RedisStore

beforeAll(async () => {
  served = await Served.start()
})
beforeEach(async () => {
  client = createClient({
    socket: { path: served.socket, tls: false, reconnectStrategy: 20 },
  }) as typeof client
  client.on('error', () => {})
  await client.connect()
  await client.flushAll()
  store = new RedisStore({ client, prefix: 'sess:', ttl: 600 })
})
afterEach(() => client.destroy())
afterAll(() => served.end())

const data = (user: string, maxAge: number | null = null): SessionData => ({
  cookie: { originalMaxAge: maxAge, ...(maxAge && { expires: new Date(Date.now() + maxAge) }) },
  user,
})

describe('the session store', () => {
  it('keeps sessions for as long as their cookies', async () => {
    await store.set('one', data('Ada'))
    await store.set('two', data('Bob', 60_000))
    expect(await store.get('one')).toMatchObject({ user: 'Ada' })
    expect(await store.get('none')).toBeNull()
    expect(await client.ttl('sess:one')).toBeGreaterThan(598)
    expect(await client.ttl('sess:two')).toBeLessThanOrEqual(60)
    await store.touch('two', data('Bob', 3_600_000))
    expect(await client.ttl('sess:two')).toBeGreaterThan(3000)
    expect(await store.length()).toBe(2)
    expect(((await store.ids()) as string[]).sort()).toEqual(['one', 'two'])
    expect(((await store.all()) as SessionData[]).map(({ user }) => user).sort()).toEqual(['Ada', 'Bob'])
    await store.destroy('one')
    expect(await store.get('one')).toBeNull()
    await client.set('other', 'stays')
    await store.clear()
    expect(await store.length()).toBe(0)
    expect(await client.get('other')).toBe('stays')
  })

  it('carries sessions of a web server over requests and over a restart of the daemon', async () => {
    const server = await webServer(store)
    const first = await visit(server)
    expect(first.text).toBe('1')
    expect((await visit(server, first.cookie)).text).toBe('2')
    expect((await visit(server)).text).toBe('1')
    await served.stop()
    await served.start()
    expect((await visit(server, first.cookie)).text).toBe('3')
    expect((await visit(server, first.cookie, '/leave')).text).toBe('gone')
    expect((await visit(server, first.cookie)).text).toBe('1')
    server.close()
    await once(server, 'close')
  })
})

/** Counts the visits of each session. */
async function webServer(store: RedisStore): Promise<Server> {
  const handler = session({
    store: store as never,
    secret: 'secret',
    resave: false,
    saveUninitialized: false,
    cookie: { maxAge: 60_000 },
  })
  const server = createServer(
    { keepAlive: false },
    (request: IncomingMessage & { session?: never }, response) => {
      handler(request, response, () => {
        const { session } = request as { session?: SessionData & { destroy(done: () => void): void } }
        if (session === undefined) throw new Error('no session')
        if (request.url === '/leave') return session.destroy(() => response.end('gone'))
        session.visits = Number(session.visits ?? 0) + 1
        response.end(String(session.visits))
      })
    },
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

async function visit(server: Server, cookie = '', path = '/'): Promise<{ text: string; cookie: string }> {
  const { port } = server.address() as AddressInfo
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { cookie, connection: 'close' } })
  return { text: await answer.text(), cookie: answer.headers.getSetCookie()[0]?.split(';')[0] ?? '' }
}
