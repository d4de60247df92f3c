/** `ramcache/session` under express-session and @fastify/session. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import session from 'express-session'
import { afterEach, describe, expect, it } from 'vitest'
import { RamcacheStore, type SessionStoreOptions, storeFor } from '../../src/adapters/session.ts'
import type { Cache } from '../../src/index.ts'
import { failure } from '../support/errors.ts'
import { serveSessions } from './children/session-server.mjs'
import { FastifySessions } from './fastify-sessions.ts'
import { inPlacements } from './placements.ts'

const ExpressStore = storeFor(session)
const dayMs = 86_400_000

/** One visitor, who keeps the cookie that he was given last. */
class Visitor {
  cookie = ''
  readonly port: number

  constructor(port: number, cookie = '') {
    this.port = port
    this.cookie = cookie
  }

  async go(path: string): Promise<unknown> {
    const headers = { cookie: this.cookie, connection: 'close' }
    const answer = await fetch(`http://127.0.0.1:${this.port}${path}`, { headers })
    this.cookie = answer.headers.getSetCookie()[0]?.split(';')[0] ?? this.cookie
    return answer.json()
  }
}

inPlacements('sessions of express-session', (placement) => {
  let server: Server | undefined

  async function visitor(options?: SessionStoreOptions, maxAge: number | undefined = 60_000) {
    const store = new ExpressStore(placement().cache, options)
    server = await serveSessions(store, maxAge === Infinity ? {} : { maxAge })
    return new Visitor((server.address() as AddressInfo).port)
  }

  afterEach(async () => {
    if (server === undefined) return
    server.close()
    await once(server, 'close')
    server = undefined
  })

  it('begin with a login, last over requests and end with a logout', async () => {
    const ada = await visitor()
    expect(await ada.go('/visit')).toMatchObject({ visits: 1 })
    const before = ada.cookie
    expect(await ada.go('/login')).toMatchObject({ user: 'Ada' })
    expect(ada.cookie).not.toBe(before)
    expect(await ada.go('/visit')).toMatchObject({ user: 'Ada', visits: 1 })
    expect(await ada.go('/visit')).toMatchObject({ user: 'Ada', visits: 2 })
    expect(await ada.go('/reload')).toMatchObject({ user: 'Ada', visits: 2 })
    // The session from before the login is gone, whoever still has its cookie.
    expect(await new Visitor(ada.port, before).go('/look')).not.toHaveProperty('visits')
    expect(await ada.go('/leave')).toBe('gone')
    expect(await ada.go('/look')).not.toHaveProperty('user')
    const keys: string[] = []
    for await (const { key } of placement().cache.scan()) keys.push(key)
    expect(keys).toEqual([])
  })

  it('end with their cookies, which each request extends', async () => {
    const ada = await visitor()
    await ada.go('/login')
    await placement().advance(40_000)
    // Nothing has changed in it: express-session only touches it.
    expect(await ada.go('/look')).toMatchObject({ user: 'Ada' })
    await placement().advance(40_000)
    expect(await ada.go('/look')).toMatchObject({ user: 'Ada' })
    await placement().advance(60_001)
    expect(await ada.go('/look')).not.toHaveProperty('user')
  })

  it('are not extended with disableTouch', async () => {
    const ada = await visitor({ disableTouch: true })
    await ada.go('/login')
    await placement().advance(40_000)
    expect(await ada.go('/look')).toMatchObject({ user: 'Ada' })
    await placement().advance(20_001)
    expect(await ada.go('/look')).not.toHaveProperty('user')
  })

  it('last a day where the cookie ends with the browser, or as long as they are given', async () => {
    const ada = await visitor({}, Infinity)
    await ada.go('/login')
    await placement().advance(dayMs - 1)
    expect(await ada.go('/look')).toMatchObject({ user: 'Ada' })
    await placement().advance(dayMs + 1)
    expect(await ada.go('/look')).not.toHaveProperty('user')
    const store = new ExpressStore(placement().cache, { ttl: '2h', prefix: 'two:' })
    await store.set('a', { cookie: { originalMaxAge: null, expires: null } })
    await placement().advance(2 * 3_600_000 - 1)
    expect(await store.length()).toBe(1)
    await placement().advance(2)
    expect(await store.length()).toBe(0)
  })

  it('that are destroyed are not there again by a touch', async () => {
    const store = new ExpressStore(placement().cache)
    const data = { cookie: { maxAge: 1000 }, user: 'Ada' }
    await store.set('a', data)
    await store.destroy('a')
    await store.touch('a', data)
    expect(await store.get('a')).toBeNull()
    await store.set('a', data)
    await store.touch('a', { cookie: { expires: new Date(0) } })
    expect(await store.get('a')).toBeNull()
    await store.set('a', { cookie: { expires: new Date(0) } })
    expect(await store.length()).toBe(0)
  })

  it('are counted, listed and cleared without what else there is', async () => {
    const { cache } = placement()
    const store = new ExpressStore(cache)
    await cache.set('other', 'stays')
    const ids = Array.from({ length: 150 }, (_, number) => `s${number}`)
    for (const id of ids) await store.set(id, { cookie: { maxAge: 60_000 }, of: id } as never)
    expect(await store.length()).toBe(150)
    const all = (await store.all()) as { id: string; of?: string }[]
    expect(all.map(({ id }) => id).sort()).toEqual([...ids].sort())
    expect(all.every(({ id, of }) => id === of)).toBe(true)
    await store.clear()
    expect(await store.length()).toBe(0)
    expect(await cache.get('other')).toBe('stays')
    const whole = new ExpressStore(cache.namespace('sessions'), { prefix: '' })
    await whole.set('a', { cookie: { maxAge: 60_000 } })
    expect(await cache.namespace('sessions').has('a')).toBe(true)
    await whole.clear()
    expect(await whole.length()).toBe(0)
  })

  it('take the time that a function says', async () => {
    const store = new ExpressStore(placement().cache, { ttl: (_, sid) => sid.length * 1000 })
    await store.set('abc', { cookie: { maxAge: 60_000 } })
    await placement().advance(2999)
    expect(await store.get('abc')).not.toBeNull()
    await placement().advance(2)
    expect(await store.get('abc')).toBeNull()
  })

  it('tell a callback about errors', async () => {
    const store = new ExpressStore(placement().cache)
    const told = new Promise((resolve) => store.get('k'.repeat(5000), resolve))
    expect(await told).toMatchObject({ code: 'ERR_RAMCACHE_KEY' })
    const found = new Promise((resolve) => store.length((_, length) => resolve(length)))
    expect(await found).toBe(0)
  })

  it('are shared with other processes', async () => {
    const path = fileURLToPath(new URL('children/session-process.mjs', import.meta.url))
    const url = `unix://${join(placement().dir, 'ramcache.sock')}`
    const child = fork(path, [url], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    const exited = once(child, 'exit')
    try {
      const [{ value: port }] = (await once(child, 'message')) as [{ value: number }]
      const here = await visitor()
      await here.go('/login')
      const there = new Visitor(port, here.cookie)
      expect(await there.go('/visit')).toMatchObject({ user: 'Ada', visits: 1 })
      expect(await here.go('/visit')).toMatchObject({ user: 'Ada', visits: 2 })
      expect(await there.go('/leave')).toBe('gone')
      expect(await here.go('/look')).not.toHaveProperty('user')
    } finally {
      child.kill('SIGKILL')
      await exited
    }
  })
})

inPlacements('sessions of @fastify/session', (placement) => {
  it('last over requests and end', async () => {
    const sessions = new FastifySessions(new RamcacheStore(placement().cache), { maxAge: 60_000 })
    const first = await sessions.request('', (session) => session.set('user', 'Ada'))
    const second = await sessions.request(first.cookie, (session) => session.get('user'))
    expect(second.result).toBe('Ada')
    await placement().advance(50_000)
    expect((await sessions.request(first.cookie, (session) => session.get('user'))).result).toBe('Ada')
    await placement().advance(50_000)
    expect((await sessions.request(first.cookie, (session) => session.get('user'))).result).toBe('Ada')
    const fresh = await sessions.request(first.cookie, (session) => session.regenerate(['user']))
    expect((await sessions.request(first.cookie, (session) => session.get('user'))).result).toBeUndefined()
    expect((await sessions.request(fresh.cookie, (session) => session.get('user'))).result).toBe('Ada')
    await sessions.request(fresh.cookie, (session) => session.destroy())
    expect((await sessions.request(fresh.cookie, (session) => session.get('user'))).result).toBeUndefined()
    const last = await sessions.request('', (session) => session.set('user', 'Bob'))
    await placement().advance(60_001)
    expect((await sessions.request(last.cookie, (session) => session.get('user'))).result).toBeUndefined()
  })
})

describe('the session store', () => {
  it('says what is wrong with its arguments', async () => {
    const cache = { get() {}, set() {} } as unknown as Cache
    const make = (options: unknown) => () => new RamcacheStore(cache, options as SessionStoreOptions)
    const unknown = await failure('ERR_RAMCACHE_CONFIG', make({ prefx: 'a' }))
    expect(unknown.message).toContain('did you mean prefix?')
    for (const options of [{ prefix: 1 }, { ttl: 0 }, { ttl: '1 day' }, { disableTouch: 'yes' }]) {
      await failure('ERR_RAMCACHE_CONFIG', make(options))
    }
    await failure('ERR_RAMCACHE_CONFIG', () => new RamcacheStore({ get() {} } as never))
    await failure('ERR_RAMCACHE_CONFIG', () => storeFor(undefined as never))
    const plain = new RamcacheStore(cache)
    const told = await failure('ERR_RAMCACHE_CONFIG', () => plain.createSession())
    expect(told.message).toContain('storeFor(session)')
  })
})
