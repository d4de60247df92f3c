/** The subcommands of CLIENT about tracking, word for word beside a real Redis. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openEmbedded, type Placement } from '../support/stores.ts'
import { type Redis, startRedis } from './redis.ts'
import { socketOf, Wire } from './support.ts'

let place: Placement
let redis: Redis

beforeEach(async () => {
  place = await openEmbedded()
  redis = await startRedis()
})
afterEach(async () => {
  await redis.end()
  await place.end()
})

describe('the words of tracking', () => {
  it('are those of Redis', async () => {
    const lines = [
      'CLIENT TRACKINGINFO',
      'CLIENT GETREDIR',
      'CLIENT CACHING YES',
      'CLIENT TRACKING',
      'CLIENT TRACKING maybe',
      'CLIENT TRACKING ON REDIRECT 123456',
      'CLIENT TRACKING ON REDIRECT x',
      'CLIENT TRACKING ON REDIRECT',
      'CLIENT TRACKING ON PREFIX a',
      'CLIENT TRACKING ON OPTIN OPTOUT',
      'CLIENT TRACKING ON BCAST OPTIN',
      'CLIENT TRACKING ON BCAST PREFIX ab PREFIX abc',
      'CLIENT TRACKING ON FOO',
      'CLIENT TRACKING ON OPTIN NOLOOP',
      'CLIENT TRACKINGINFO',
      'CLIENT GETREDIR',
      'CLIENT CACHING NO',
      'CLIENT CACHING YES',
      'CLIENT TRACKINGINFO',
      'GET k',
      'CLIENT TRACKINGINFO',
      'CLIENT CACHING x',
      'CLIENT CACHING',
      'CLIENT TRACKING ON OPTOUT',
      'CLIENT TRACKING ON BCAST',
      'CLIENT TRACKING OFF',
      'CLIENT TRACKING ON OPTOUT',
      'CLIENT CACHING YES',
      'CLIENT CACHING NO',
      'CLIENT TRACKINGINFO',
      'CLIENT TRACKING OFF',
      'CLIENT TRACKING ON BCAST PREFIX b PREFIX a',
      'CLIENT TRACKING ON BCAST PREFIX abc',
      'CLIENT TRACKING ON BCAST PREFIX c',
      'CLIENT TRACKING ON',
      'CLIENT TRACKINGINFO',
      'CLIENT CACHING YES',
      'CLIENT TRACKING OFF',
      'CLIENT TRACKING ON BCAST',
      'CLIENT TRACKINGINFO',
      'CLIENT TRACKING OFF',
      'CLIENT TRACKINGINFO',
      'MULTI',
      'CLIENT TRACKING ON',
      'CLIENT FOO',
      'EXEC',
    ]
    for (const resp of [2, 3]) {
      const real = await Wire.open(redis.socket)
      const ours = await Wire.open(socketOf(place.dir))
      for (const wire of [real, ours]) await wire.ask('HELLO', resp)
      for (const line of lines) {
        const words = line.split(' ')
        expect(await ours.ask(...words), line).toEqual(await real.ask(...words))
      }
      real.close()
      ours.close()
    }
  })
})
