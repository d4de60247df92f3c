import { expect } from 'vitest'
import { type ErrorCode, RamcacheError } from '../../src/base/errors.ts'

/** The error that `run` throws or rejects with; it must have this code. */
export async function failure(code: ErrorCode, run: () => unknown): Promise<RamcacheError> {
  try {
    await run()
  } catch (error) {
    expect(error).toBeInstanceOf(RamcacheError)
    expect((error as RamcacheError).code).toBe(code)
    return error as RamcacheError
  }
  throw new Error(`it did not fail with ${code}`)
}
