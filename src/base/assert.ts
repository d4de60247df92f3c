/** Assertions find our own bugs and stay on in production. Expected trouble is a `RamcacheError` instead. */

export class AssertionError extends Error {
  override readonly name = 'AssertionError'
}

export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(`ramcache: broken invariant: ${message}`)
}

/** Marks a branch that the types already exclude. */
export function unreachable(value: never): never {
  throw new AssertionError(`ramcache: unexpected ${String(value)}`)
}
