/** Blobs in RAM alone, and with tiers below it: the contract of streams, and what becomes of the chunks. */
import { afterEach, beforeEach, describe } from 'vitest'
import { openEmbedded, openTiered, type Placement } from '../support/stores.ts'
import { blobContract } from './blobs.suite.ts'
import { streamContract } from './streams.suite.ts'

blobContract('RAM alone', openEmbedded, false)
blobContract('with tiers', openTiered, true)

describe('streams with the least memory above tiers', () => {
  let open: Placement[]

  beforeEach(async () => {
    open = [await openTiered({ memory: '512kb' })]
  })

  afterEach(async () => {
    for (const placement of open) await placement.end()
  })

  const subject = {
    get dir() {
      return first().dir
    },
    get cache() {
      return first().cache
    },
    advance: (ms: number) => first().advance(ms),
    getNow: async <T>(key: string) => first().cache.getSync<T>(key),
    open: async (options: object) => {
      const placement = await openTiered({ memory: '512kb', ...options })
      open.push(placement)
      return placement
    },
    reopen: async () => {
      open[0] = await first().reopen()
      return first().cache
    },
  }
  streamContract(subject, 16 * 1024, '512kb')

  function first(): Placement {
    return open[0] as Placement
  }
})
