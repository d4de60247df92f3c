/** Times of single operations: all of them kept, so that the rarest count. */

export interface Percentiles {
  readonly count: number
  readonly p50: number
  readonly p99: number
  readonly p999: number
  readonly p9999: number
  readonly max: number
}

/** In the unit they were given in. */
export function percentilesOf(times: Float64Array): Percentiles {
  const sorted = times.slice().sort()
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
  return {
    count: sorted.length,
    p50: at(0.5),
    p99: at(0.99),
    p999: at(0.999),
    p9999: at(0.9999),
    max: at(1),
  }
}
