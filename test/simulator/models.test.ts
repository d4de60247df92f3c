/** The fast policies against their slow models, request by request, on skewed random traces. */

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { MODELS } from './models.ts'
import { openPolicy, traceOfIds } from './support.ts'

/** Half of the requests go to a few popular keys, so that counters rise and queues turn over. */
const ids = fc.array(fc.oneof(fc.nat({ max: 7 }), fc.nat({ max: 79 })), { minLength: 100, maxLength: 800 })
const isSized = fc.boolean()

test.each(Object.keys(MODELS) as (keyof typeof MODELS)[])('%s', (name) => {
  fc.assert(
    fc.property(ids, isSized, fc.integer({ min: 1, max: 60 }), (ids, isSized, capacityObjects) => {
      const trace = traceOfIds(ids, isSized ? (id) => 1 + ((id * 7) % 9) : undefined)
      const capacity = capacityObjects * (isSized ? 5 : 1)
      const policy = openPolicy(name, trace, capacity)
      const model = MODELS[name](capacity)
      const found = Array.from(trace.keys, (id) => policy.request(id, trace.sizes[id] as number))
      const expected = Array.from(trace.keys, (id) => model(id, trace.sizes[id] as number))
      expect(found).toEqual(expected)
    }),
    { numRuns: 150 },
  )
})
