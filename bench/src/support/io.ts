/** What this process has written to disks, and other figures of the machine. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Bytes this process has handed to the file system. What the kernel says that it wrote to storage counts pages anew each
 * time they become dirty, and so can be more than the device has seen.
 */
export function writtenBytes(): number {
  const found = /^wchar: (\d+)$/m.exec(readFileSync('/proc/self/io', 'utf8'))
  return Number(found?.[1])
}

/** Bytes allocated for all files below a folder. */
export function folderBytes(folder: string): number {
  const blockBytes = 512
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).blocks * blockBytes, 0)
}

/** A list of numbers from the environment, for runs of another size than the usual one. */
export function numbersOf(name: string, usual: readonly number[]): readonly number[] {
  const value = process.env[name]
  return value === undefined ? usual : value.split(',').map((part) => Number(part.replaceAll('_', '')))
}
