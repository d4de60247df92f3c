/** The names of namespaces on disk: `native/core/src/below/names.rs` writes them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { RamcacheError } from '../base/errors.ts'

const magic = Buffer.from('RAMCNAME')
const version = 1
const headBytes = 16

/** How many names there are; `undefined` when there is no file. Throws ERR_RAMCACHE_CORRUPT. */
export function countNames(ssdDir: string): number | undefined {
  return readNames(ssdDir)?.readUInt32LE(12)
}

/** The number of a namespace; `undefined` when it has none. Throws ERR_RAMCACHE_CORRUPT. */
export function numberOfName(ssdDir: string, name: string): number | undefined {
  const bytes = readNames(ssdDir)
  if (bytes === undefined) return undefined
  let at = headBytes
  for (let number = 0; number < bytes.readUInt32LE(12); number++) {
    const end = at + 2 + bytes.readUInt16LE(at)
    if (bytes.toString('utf8', at + 2, end) === name) return number
    at = end
  }
  return undefined
}

function readNames(ssdDir: string): Buffer | undefined {
  const path = join(ssdDir, 'names')
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new RamcacheError('ERR_RAMCACHE_UNAVAILABLE', `${path}: ${(error as Error).message}`, error)
  }
  const isOurs = bytes.length >= headBytes + 4 && bytes.subarray(0, 8).equals(magic)
  if (isOurs && bytes.readUInt32LE(8) > version) {
    throw corrupt(
      path,
      `has format version ${bytes.readUInt32LE(8)}, this version of ramcache reads ${version}`,
    )
  }
  const end = bytes.length - 4
  if (!isOurs || bytes.readUInt32LE(end) !== crc32(bytes.subarray(0, end))) throw corrupt(path, 'is damaged')
  return bytes
}

function corrupt(path: string, what: string): RamcacheError {
  return new RamcacheError('ERR_RAMCACHE_CORRUPT', `${path} ${what}`)
}
