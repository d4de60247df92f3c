/** The whole contract over a store whose RAM is small and that has an SSD tier below it. */
import { openTiered } from '../support/stores.ts'
import { cacheContract } from './cache.suite.ts'

cacheContract('tiered', openTiered)
