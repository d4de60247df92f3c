/** Messages between clients. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openEmbedded, type Placement } from '../support/stores.ts'
import { ErrorReply, Push, socketOf, Wire } from './support.ts'

let place: Placement
let listener: Wire
let other: Wire

beforeEach(async () => {
  place = await openEmbedded({ __internal: { serverThreads: 2 } } as object)
  listener = await Wire.open(socketOf(place.dir))
  other = await Wire.open(socketOf(place.dir))
})
afterEach(async () => {
  listener.close()
  other.close()
  await place.end()
})

describe('channels', () => {
  it('reach those who listen, by name and by pattern, whatever thread they are on', async () => {
    expect(await listener.ask('SUBSCRIBE', 'news')).toEqual(['subscribe', 'news', 1])
    expect(await listener.ask('PSUBSCRIBE', 'n*')).toEqual(['psubscribe', 'n*', 2])
    expect(await other.ask('PUBLISH', 'news', 'hello')).toBe(2)
    expect(await listener.read()).toEqual(['message', 'news', 'hello'])
    expect(await listener.read()).toEqual(['pmessage', 'n*', 'news', 'hello'])
    expect(await other.ask('PUBSUB', 'NUMSUB', 'news', 'none')).toEqual(['news', 1, 'none', 0])
    expect(await listener.ask('GET', 'k')).toEqual(
      new ErrorReply(
        "ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
      ),
    )
    expect(await listener.ask('PING')).toEqual(['pong', ''])
    expect(await listener.ask('UNSUBSCRIBE')).toEqual(['unsubscribe', 'news', 1])
    expect(await listener.ask('PUNSUBSCRIBE')).toEqual(['punsubscribe', 'n*', 0])
    expect(await other.ask('PUBLISH', 'news', 'hello')).toBe(0)
    expect(await listener.ask('PING')).toBe('PONG')
  })

  it('push beside replies in RESP3, and forget who is gone', async () => {
    await listener.ask('HELLO', 3)
    expect(await listener.ask('SUBSCRIBE', 'c')).toEqual(new Push(['subscribe', 'c', 1]))
    expect(await listener.ask('SET', 'k', 'v')).toBe('OK')
    await other.ask('PUBLISH', 'c', 'x')
    expect(await listener.read()).toEqual(new Push(['message', 'c', 'x']))
    listener.close()
    await expect.poll(() => other.ask('PUBSUB', 'CHANNELS')).toEqual([])
  })
})
