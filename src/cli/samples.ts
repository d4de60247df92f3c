/** Measured times: what stands at which rank. */
import type { LatencyStats } from '../index.ts'

/** Exact quantiles, by nearest rank. Sorts what it is given. */
export function latencyOf(us: Float64Array): LatencyStats {
  us.sort()
  const at = (share: number) => us[Math.max(0, Math.ceil(us.length * share) - 1)] ?? 0
  return { p50Us: at(0.5), p99Us: at(0.99), p999Us: at(0.999), maxUs: at(1) }
}
