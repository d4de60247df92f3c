/** A password in a file of its own: not in a command line, which others see, nor in a configuration, which is passed on. */
import { readFileSync, statSync } from 'node:fs'
import { configError } from './fields.ts'

/** More than anybody remembers or generates; a key file that was named by mistake is longer. */
const passwordBytesMax = 512

/** @internal The first line of the file, and the only one. Throws ERR_RAMCACHE_CONFIG. */
export function readPassword(path: string): Buffer {
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch (error) {
    throw configError(`the password cannot be read: ${(error as Error).message}`, error)
  }
  const end = bytes.indexOf('\n')
  const line = end < 0 ? bytes : bytes.subarray(0, bytes[end - 1] === 0x0d ? end - 1 : end)
  if (end >= 0 && end + 1 < bytes.length) throw configError(`${path} has more than one line, not a password`)
  if (line.length === 0) throw configError(`${path} is empty: it must have a password in its first line`)
  if (line.length > passwordBytesMax) {
    throw configError(`the password in ${path} has ${line.length} bytes, the limit is ${passwordBytesMax}`)
  }
  return line
}

/** @internal Whether users can read a file who are neither its owner nor of its group. */
export function isReadByAll(path: string): boolean {
  return ((statSync(path, { throwIfNoEntry: false })?.mode ?? 0) & 0o004) !== 0
}
