/** The contract, over a store of two tiers. */
import { afterAll } from 'vitest'
import { open } from '../../src/index.ts'
import { SharedStore } from '../support/shared-stores.ts'
import { openTiered } from '../support/stores.ts'
import { cacheContract } from './cache.suite.ts'

const memory = '4mb'

const store = new SharedStore(
  (options) => openTiered({ memory, ...options }),
  (dir) => open({ dir, memory }),
)

afterAll(() => store.end())

cacheContract('tiered', store.openPlacement, { hasDisk: true })
