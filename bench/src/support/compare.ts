/**
 * Comparing in one run: contenders take turns, round after round, and the medians are compared. What is measured is a
 * batch of operations, because a clock reading costs as much as one of them.
 */
import { Bench } from 'tinybench'

export interface Contender {
  readonly name: string
  /** Operations of one call of `batch`. */
  readonly operations: number
  /** Runs before each batch, not timed. */
  readonly prepare?: () => void
  /** Returns something that depends on the work, so that it cannot be left out. */
  readonly batch: () => number
}

export interface Row {
  readonly what: string
  readonly name: string
  /** Median over all rounds. */
  readonly nsPerOperation: number
  readonly checksum: number
  /** How many times faster than this one the first contender is; 1 for itself. */
  readonly ratio: number
}

export interface CompareOptions {
  readonly rounds: number
  /** Milliseconds for each contender in each round. */
  readonly msPerRound: number
}

/** The first contender is ours. */
export async function compare(
  what: string,
  contenders: Contender[],
  options: CompareOptions,
): Promise<Row[]> {
  const samples = contenders.map((): number[] => [])
  const checksums = contenders.map(() => 0)
  for (let round = 0; round < options.rounds; round++) {
    const bench = new Bench({
      time: options.msPerRound,
      iterations: 2,
      warmup: round === 0,
      warmupTime: options.msPerRound,
    })
    for (const [index, contender] of contenders.entries()) {
      const { name, prepare } = contender
      const hooks = prepare === undefined ? {} : { beforeEach: prepare }
      const task = () => {
        checksums[index] = contender.batch()
      }
      bench.add(name, task, hooks)
    }
    await bench.run()
    for (const [index, task] of bench.tasks.entries()) {
      const { result } = task
      if (result.state !== 'completed') throw new Error(`${task.name}: ${result.state}`)
      const operations = (contenders[index] as Contender).operations
      samples[index]?.push((result.latency.p50 * 1e6) / operations)
    }
  }
  const ours = median(samples[0] as number[])
  const rows = contenders.map((contender, index): Row => {
    const nsPerOperation = median(samples[index] as number[])
    const checksum = checksums[index] as number
    return { what, name: contender.name, nsPerOperation, checksum, ratio: nsPerOperation / ours }
  })
  printRows(rows)
  return rows
}

export function printRows(rows: Row[]): void {
  for (const { what, name, nsPerOperation, ratio, checksum } of rows) {
    const times = ratio === 1 ? '' : `${ratio.toFixed(2)}x`
    const cells = [
      what.padEnd(44),
      name.padEnd(28),
      `${nsPerOperation.toFixed(1).padStart(10)} ns`,
      times.padStart(9),
    ]
    console.log(`${cells.join(' ')}   checksum ${checksum}`)
  }
}

export function median(values: number[]): number {
  const sorted = [...values].sort((left, right) => left - right)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}
