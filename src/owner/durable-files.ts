/** Files that are copied for good: synced, with a checksum of what is there in the end; and what went wrong in our words. */
import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { copyFile, mkdir, open, readdir } from 'node:fs/promises'
import { RamcacheError } from '../base/errors.ts'

/** Bytes that are read at a time. */
const pieceBytes = 1024 * 1024

export interface Summed {
  readonly bytes: number
  readonly sha256: string
}

/** A copy, which shares its blocks with the original where the file system can; cut to `bytes`. `goOn` throws to give up. */
export async function copyDurably(
  from: string,
  to: string,
  bytes: number | undefined,
  goOn: () => void,
): Promise<Summed> {
  await guard(`copy ${from} to ${to}`, () =>
    copyFile(from, to, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL),
  )
  return sealFile(to, bytes, goOn)
}

/** Cuts a file to `bytes`, syncs it, and reads it back. */
export async function sealFile(path: string, bytes: number | undefined, goOn: () => void): Promise<Summed> {
  return guard(`write ${path}`, async () => {
    const file = await open(path, 'r+')
    try {
      if (bytes !== undefined) await file.truncate(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
    return sumFile(path, goOn)
  })
}

export async function sumFile(path: string, goOn: () => void): Promise<Summed> {
  return guard(`read ${path}`, async () => {
    const file = await open(path, 'r')
    try {
      const hash = createHash('sha256')
      const piece = Buffer.allocUnsafe(pieceBytes)
      let bytes = 0
      for (;;) {
        goOn()
        const { bytesRead } = await file.read(piece, 0, pieceBytes, bytes)
        if (bytesRead === 0) return { bytes, sha256: hash.digest('hex') }
        hash.update(piece.subarray(0, bytesRead))
        bytes += bytesRead
      }
    } finally {
      await file.close()
    }
  })
}

/** Names in a directory are there after a power cut. */
export async function syncDirectory(path: string): Promise<void> {
  await guard(`sync ${path}`, async () => {
    const directory = await open(path, 'r')
    try {
      await directory.sync()
    } finally {
      await directory.close()
    }
  })
}

/** Makes a directory, or takes one that is empty. Whether it was made. */
export async function takeEmptyDirectory(path: string, what: string): Promise<boolean> {
  return guard(`use ${path}`, async () => {
    const first = await mkdir(path, { recursive: true })
    if (first !== undefined) return true
    const [name] = await readdir(path)
    if (name === undefined) return false
    throw new RamcacheError('ERR_RAMCACHE_CONFIG', `${what} must be empty or new, but ${path} has ${name}`)
  })
}

/** Runs work on files; what the system says becomes one of our errors. */
export async function guard<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (error instanceof RamcacheError || code === undefined) throw error
    const isFull = code === 'ENOSPC' || code === 'EDQUOT'
    const name = isFull ? 'ERR_RAMCACHE_FULL' : 'ERR_RAMCACHE_UNAVAILABLE'
    throw new RamcacheError(name, `cannot ${what}: ${(error as Error).message}`, error)
  }
}
