/** The contract, over a store of three tiers, whose SSD tier is always full. */
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { open } from '../../src/index.ts'
import { SharedStore } from '../support/shared-stores.ts'
import { openThreeTiers } from '../support/stores.ts'
import { cacheContract } from './cache.suite.ts'

const memory = '4mb'

const store = new SharedStore(
  (options) => openThreeTiers({ memory, ...options }),
  (dir) => open({ dir, memory, tiers: { hdd: { path: join(dir, 'hdd') } } }),
)

afterAll(() => store.end())

cacheContract('three-tier', store.openPlacement, { hasDisk: true })
