/** From numbers to coordinates of a plot, with ticks at round numbers. */

/** Where the plot is inside its panel. */
export interface Area {
  readonly left: number
  readonly top: number
  readonly width: number
  readonly height: number
}

const TICKS_MAX = 5

export interface Scale {
  readonly ticks: readonly number[]
  readonly at: (value: number) => number
}

/** Logarithmic, from the least to the largest fraction. A tick for each while they are few, else at 1 and 3 of a decade. */
export function xScale(fractions: readonly number[], area: Area): Scale {
  const low = Math.min(...fractions)
  const high = Math.max(...fractions)
  const span = Math.log(high / low)
  const at = (fraction: number) =>
    round(area.left + (span === 0 ? 0.5 : Math.log(fraction / low) / span) * area.width)
  if (fractions.length <= TICKS_MAX) return { ticks: fractions, at }
  const ticks: number[] = []
  // In per cent, where the ticks are round numbers and floating point keeps them so.
  for (let decade = -4; decade <= 2; decade++) {
    for (const step of [1, 3]) ticks.push((step * 10 ** decade) / 100)
  }
  return { ticks: ticks.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001), at }
}

/** Linear, from a round number below the data to one above it. */
export function yScale(ratios: readonly number[], area: Area): Scale & { readonly digits: number } {
  const low = Math.min(...ratios)
  const high = Math.max(...ratios)
  // The finest step with few ticks.
  const step = [0.02, 0.05, 0.1, 0.2].find((candidate) => (high - low) / candidate <= TICKS_MAX) ?? 0.2
  // In steps, not in ratios; the small numbers absorb what floating point adds to an exact multiple.
  let floor = Math.floor(low / step + 1e-9)
  let ceiling = Math.ceil(high / step - 1e-9)
  floor = Math.max(0, Math.min(floor, ceiling - 2))
  ceiling = Math.max(ceiling, floor + 2)
  const ticks = Array.from({ length: ceiling - floor + 1 }, (_, index) => (floor + index) * step)
  const at = (ratio: number) =>
    round(area.top + area.height * (1 - (ratio - floor * step) / ((ceiling - floor) * step)))
  return { ticks, at, digits: step < 0.1 ? 2 : 1 }
}

/** Two decimals: finer than any screen, and short in the file. */
export function round(value: number): number {
  return Math.round(value * 100) / 100
}
