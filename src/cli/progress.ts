/**
 * How far a replay is, on stderr: a bar that redraws itself on a terminal, one line per trace elsewhere, so that a
 * log file stays readable.
 */

import { formatCount, formatPercent, formatRate } from '../simulator/format.ts'
import type { ReplayProgress } from '../simulator/replay.ts'
import type { Output } from './command.ts'

const BAR_CELLS = 24
/** Ten pictures a second look smooth; more cost time on slow terminals. */
const REDRAW_MS = 100
const COLUMNS_DEFAULT = 80
/** Back to the first column and erase the line. */
const CLEAR_LINE = '\r\x1b[K'

export interface ProgressDisplay {
  update(progress: ReplayProgress): void
  /** Takes the bar away; call before any other output. */
  clear(): void
}

export function createProgress(stderr: Output, now: () => number): ProgressDisplay {
  return stderr.isTTY === true ? new Bar(stderr, now) : new Lines(stderr)
}

class Bar implements ProgressDisplay {
  readonly #stderr: Output
  readonly #now: () => number
  #drawnAt = Number.NEGATIVE_INFINITY
  #isDrawn = false

  constructor(stderr: Output, now: () => number) {
    this.#stderr = stderr
    this.#now = now
  }

  update(progress: ReplayProgress): void {
    const now = this.#now()
    if (now - this.#drawnAt < REDRAW_MS) return
    this.#drawnAt = now
    this.#isDrawn = true
    // One column stays free: a full last column makes some terminals wrap.
    const columns = (this.#stderr.columns ?? COLUMNS_DEFAULT) - 1
    this.#stderr.write(CLEAR_LINE + barLine(progress).slice(0, Math.max(columns, 1)))
  }

  clear(): void {
    if (this.#isDrawn) this.#stderr.write(CLEAR_LINE)
    this.#isDrawn = false
  }
}

function barLine({ trace, policy, fraction, done, requestsPerSecond }: ReplayProgress): string {
  const full = Math.floor(done * BAR_CELLS)
  const bar = '#'.repeat(full) + '-'.repeat(BAR_CELLS - full)
  const percent = String(Math.floor(done * 100)).padStart(3)
  return `${trace} [${bar}] ${percent} %  ${policy} at ${formatPercent(fraction)}, ${formatRate(requestsPerSecond)} requests/s`
}

class Lines implements ProgressDisplay {
  readonly #stderr: Output
  #trace = ''

  constructor(stderr: Output) {
    this.#stderr = stderr
  }

  update({ trace, requests }: ReplayProgress): void {
    if (trace === this.#trace) return
    this.#trace = trace
    this.#stderr.write(`replaying ${trace}: ${formatCount(requests)} requests\n`)
  }

  clear(): void {}
}
