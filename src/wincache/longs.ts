/** The integers of PHP: 64 bits, two's complement. Here a number while it is exact, else a bigint. */

const longMin = -(2n ** 63n)
const longMax = 2n ** 63n - 1n

export type Long = number | bigint

/** Whether PHP would have it as an integer. A number without a fraction is one, as there is no 5.0 here. */
export function isLong(value: unknown): value is Long {
  if (typeof value === 'bigint') return value >= longMin && value <= longMax
  return Number.isSafeInteger(value)
}

/** As a number when that is exact; wraps around beyond 64 bits. */
export function longOf(value: bigint): Long {
  const wrapped = BigInt.asIntN(64, value)
  const number = Number(wrapped)
  return Number.isSafeInteger(number) ? number : wrapped
}

export function sumOf(left: Long, right: Long): Long {
  return longOf(BigInt(left) + BigInt(right))
}

export function isSameLong(left: Long, right: Long): boolean {
  // A number and a bigint may be the same integer.
  return BigInt(left) === BigInt(right)
}

/** What PHP makes of an argument that is to be an integer; `undefined` when that is an error there. */
export function toLong(value: unknown): Long | undefined {
  switch (typeof value) {
    case 'number':
      return Number.isFinite(value) && Math.abs(value) < 2 ** 63
        ? longOf(BigInt(Math.trunc(value)))
        : undefined
    case 'bigint':
      return isLong(value) ? longOf(value) : undefined
    case 'boolean':
      return value ? 1 : 0
    case 'undefined':
      return 0
    case 'string':
      if (/^\s*[+-]?\d+\s*$/.test(value)) return toLong(BigInt(value.trim().replace(/^\+/, '')))
      return value.trim() === '' ? undefined : toLong(Number(value))
    default:
      return value === null ? 0 : undefined
  }
}
