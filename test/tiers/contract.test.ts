/** The contract of a tier, on the reference and on LevelDB. */
import { describe, it } from 'vitest'
import { HddTier } from '../../src/tiers/hdd.ts'
import { MapTier, type MapTierStore } from '../../src/tiers/map.ts'
import { tierSuite } from '../../src/tiers/suite.ts'
import { testFolder } from '../support/folders.ts'
import { testSeed } from '../support/seed.ts'

const seed = testSeed('tiers')

describe('map', () => {
  tierSuite({
    test: it,
    seed,
    makeTier: () => {
      const store: MapTierStore = new Map()
      return { tier: new MapTier(store), reopen: () => new MapTier(store) }
    },
  })
})

describe('hdd', () => {
  tierSuite({
    test: it,
    seed,
    makeTier: () => {
      const path = testFolder()
      return { tier: new HddTier(path), reopen: () => new HddTier(path) }
    },
  })
})
