/** The contract, over a store that another process owns. */
import { afterAll, beforeAll } from 'vitest'
import { connecting, Host, joining, overTcp, remotePlacement } from '../support/hosts.ts'
import { cacheContract } from './cache.suite.ts'

let host: Host

beforeAll(() => {
  host = new Host()
})

afterAll(() => host.end())

cacheContract(
  'connected',
  remotePlacement(() => host, connecting),
)
cacheContract(
  'joined',
  remotePlacement(() => host, joining),
)
cacheContract(
  'tcp',
  remotePlacement(
    () => host,
    overTcp(() => host),
  ),
  { hasDisk: false, isUnmapped: true },
)
