/** Runs the tests of an adapter in two placements: in the process that owns the store, and connected to it from another. */
import { afterAll, afterEach, beforeAll, beforeEach, describe } from 'vitest'
import type { OpenOptions } from '../../src/index.ts'
import { connecting, Host, remotePlacement } from '../support/hosts.ts'
import { openEmbedded, type Placement } from '../support/stores.ts'

/** `define` gets a way to the placement of the running test; each test has an empty store. */
export function inPlacements(
  name: string,
  define: (placement: () => Placement) => void,
  options: Partial<OpenOptions> = {},
): void {
  let host: Host
  const openConnected = remotePlacement(() => host, connecting)
  for (const [where, open] of [
    ['embedded', openEmbedded],
    ['connected', openConnected],
  ] as const) {
    describe(`${name}, ${where}`, () => {
      let placement: Placement
      if (where === 'connected') {
        beforeAll(() => {
          host = new Host()
        })
        afterAll(() => host.end())
      }
      beforeEach(async () => {
        placement = await open(options)
      })
      afterEach(() => placement.end())
      define(() => placement)
    })
  }
}
