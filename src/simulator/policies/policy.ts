/**
 * What every replacement policy of the simulator looks like. Policies here are rivals and yardsticks: exact, one
 * object at a time, with unlimited metadata. They see dense ids 0 .. keyCount-1 and use them as array indexes only,
 * never as a hint of age or popularity.
 *
 * A capacity is a sum of sizes. With size 1 for every object it is a count of objects; a policy cannot tell.
 */

export interface Policy {
  readonly name: string
  /**
   * Look up; on a miss insert an object of this size (cache-aside). True is a hit. An object that can never fit is
   * not admitted and evicts nothing. A key has one size for the whole run.
   */
  request(id: number, size: number): boolean
  /** Sum of the sizes of resident objects; never above the capacity. */
  readonly used: number
}

export interface PolicyInput {
  /** In the unit of the sizes given to `request`: bytes, or objects. */
  readonly capacity: number
  readonly keyCount: number
  /**
   * For each request the index of the next request of the same key, or the number of requests when there is none.
   * Called only by policies that see the future.
   */
  readonly nextUse: () => Uint32Array
}
