/** Operations timed one by one, one at a time; and printing what came out. */
import type { Row } from './compare.js'
import { type Percentiles, percentilesOf } from './latency.js'

/** Nanoseconds of each call of `work`. What it returns is added up, so that it cannot be left out. */
export async function timeEach(
  count: number,
  work: (index: number) => number | Promise<number>,
): Promise<{ times: Percentiles; checksum: number }> {
  const times = new Float64Array(count)
  let checksum = 0
  for (let index = 0; index < count; index++) {
    const before = process.hrtime.bigint()
    const answer = work(index)
    checksum += answer instanceof Promise ? await answer : answer
    times[index] = Number(process.hrtime.bigint() - before)
  }
  return { times: percentilesOf(times), checksum }
}

/** Rows of one comparison, the first of them ours. */
export function rowsOf(
  what: string,
  found: readonly { name: string; ns: number; checksum: number }[],
): Row[] {
  const ours = found[0]?.ns ?? Number.NaN
  return found.map(({ name, ns, checksum }) => ({
    what,
    name,
    nsPerOperation: ns,
    checksum,
    ratio: ns / ours,
  }))
}
