/**
 * How much memory this process may use: the machine's, or less when a cgroup (a container, a systemd service) says so.
 * Asked once, when a store is opened with `memory: 'auto'`.
 */
import { readFileSync } from 'node:fs'
import { totalmem } from 'node:os'

/** What is read from the machine; tests bring their own. */
export interface MachineReader {
  /** The text of a file, or `undefined` when it cannot be read. */
  readText(path: string): string | undefined
  /** RAM of the machine in bytes. */
  totalBytes(): number
}

export const machine: MachineReader = {
  readText(path) {
    try {
      return readFileSync(path, 'utf8')
    } catch {
      return undefined
    }
  },
  totalBytes: totalmem,
}

/** `memory: 'auto'` takes this share, and leaves the rest to the application and to the page cache. */
const autoShare = 1 / 3

/** Bytes for `memory: 'auto'`: a third of the RAM this process may use, never below `minBytes`. */
export function autoMemory(minBytes: number, reader: MachineReader = machine): number {
  return Math.max(minBytes, Math.floor(usableBytes(reader) * autoShare))
}

/** RAM this process may use, in bytes: the smallest of the machine's RAM and every cgroup limit above the process. */
export function usableBytes(reader: MachineReader = machine): number {
  let bytes = reader.totalBytes()
  for (const path of limitFiles(reader.readText('/proc/self/cgroup') ?? '')) {
    const limit = parseLimit(reader.readText(path))
    if (limit !== undefined && limit < bytes) bytes = limit
  }
  return bytes
}

/**
 * Files that may hold a limit, of this cgroup and of all above it. The paths in `/proc/self/cgroup` are those of the
 * host when a container shares its view, so the root files, which then are the container's own, are always included.
 */
function limitFiles(cgroups: string): string[] {
  const files = ['/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory/memory.limit_in_bytes']
  for (const line of cgroups.split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? []
    if (controllers === undefined || path === undefined) continue
    if (controllers === '') files.push(...upwards('/sys/fs/cgroup', path, 'memory.max'))
    if (controllers.split(',').includes('memory')) {
      files.push(...upwards('/sys/fs/cgroup/memory', path, 'memory.limit_in_bytes'))
    }
  }
  return files
}

function upwards(root: string, path: string, file: string): string[] {
  const parts = path.split('/').filter((part) => part !== '' && part !== '..')
  return parts.map((_, index) => `${root}/${parts.slice(0, parts.length - index).join('/')}/${file}`)
}

/** `max` (version 2) and a number near 2^63 (version 1) both mean "no limit" and are larger than any machine. */
function parseLimit(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d+\s*$/.test(text)) return undefined
  const bytes = Number(text)
  return bytes > 0 ? bytes : undefined
}
