/**
 * How the simulator sees a real store. The policies of `policies/` are exact and pay for nothing; a subject is the
 * whole thing, with its keys, its bytes and its rounding.
 */

export interface StoreSubject {
  readonly name: string
  /**
   * Get `key`; on a miss set a value so that key and value together have `size` bytes (value of at least 1 byte).
   * True is a hit. A set that is refused is a miss like any other.
   */
  request(key: string, size: number): boolean
  /** Live entries now. */
  entries(): number
  /** Bytes of memory per live entry beyond its key and value. */
  overheadBytesPerEntry(): number
  close(): Promise<void>
}

/**
 * - `payload`: key and value bytes of the live entries are what the capacity limits, so a trace of objects of one
 *   size gets exactly as many objects as the policies get.
 * - `everything`: index, headers, unused ends and all other memory of the store count too: what a user pays for.
 */
export type Counting = 'payload' | 'everything'

export interface SubjectOptions {
  readonly capacityBytes: number
  readonly counting: Counting
}

/** Undefined when the capacity is below the least this store can have. */
export type OpenSubject = (options: SubjectOptions) => Promise<StoreSubject | undefined>
