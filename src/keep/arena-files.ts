/** Arenas in shared memory, as files: whose they are, and whether anybody is left who uses them. */
import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'

export const sharedMemoryDir = '/dev/shm'
const prefix = 'ramcache-'
const magic = Buffer.from('RAMCACHE')
/** Words of the superblock; `docs/FORMAT.md`. */
const word = { version: 1, arenaId: 6, ownerPid: 8, ownerStart: 9, bucketCount: 16, budgetBytes: 32 }
const superblockBytes = 4096

export interface ArenaFile {
  readonly data: string
  readonly touch: string
  /** Memory it takes, of both files. */
  readonly bytes: number
  /** Undefined for what is no arena (yet). */
  readonly superblock: Superblock | undefined
}

export interface Superblock {
  readonly version: number
  readonly arenaId: string
  readonly ownerPid: number
  readonly isOwnerAlive: boolean
  /** Its owner has closed it, or was about to: nothing is in it. */
  readonly isClosed: boolean
  readonly budgetBytes: number
}

/** What `<dir>/owner` says; undefined without one, or when it makes no sense. */
export interface OwnerFile {
  readonly pid: number
  readonly data: string
  readonly touch: string
}

export function readOwnerFile(dir: string): OwnerFile | undefined {
  try {
    const { pid, data, touch } = JSON.parse(readFileSync(join(dir, 'owner'), 'utf8'))
    const isWhole = Number.isSafeInteger(pid) && typeof data === 'string' && typeof touch === 'string'
    return isWhole ? { pid, data, touch } : undefined
  } catch {
    return undefined
  }
}

/** The arena that a dead owner has left to whoever opens the directory next. */
export function arenaLeftIn(dir: string): ArenaFile | undefined {
  const owner = readOwnerFile(dir)
  if (owner === undefined || owner.data.startsWith('/proc/')) return undefined
  const arena = arenaAt(owner.data, owner.touch)
  return arena?.superblock === undefined ? undefined : arena
}

export function allArenas(dir = sharedMemoryDir): ArenaFile[] {
  let names: string[]
  try {
    names = readdirSync(dir)
  } catch {
    return []
  }
  return names
    .filter((name) => name.startsWith(prefix) && name.endsWith('.data'))
    .flatMap((name) => arenaAt(join(dir, name), join(dir, `${name.slice(0, -5)}.touch`)) ?? [])
}

function arenaAt(data: string, touch: string): ArenaFile | undefined {
  const bytes = allocated(data)
  if (bytes === undefined) return undefined
  return { data, touch, bytes: bytes + (allocated(touch) ?? 0), superblock: readSuperblock(data) }
}

/** The files are mostly holes. */
function allocated(path: string): number | undefined {
  const found = statSync(path, { throwIfNoEntry: false })
  return found && found.blocks * 512
}

function readSuperblock(path: string): Superblock | undefined {
  const block = Buffer.alloc(superblockBytes)
  try {
    const file = openSync(path, 'r')
    try {
      if (readSync(file, block, 0, superblockBytes, 0) !== superblockBytes) return undefined
    } finally {
      closeSync(file)
    }
  } catch {
    return undefined
  }
  if (!block.subarray(0, 8).equals(magic)) return undefined
  const load = (at: number) => block.readBigUInt64LE(at * 8)
  const ownerPid = Number(load(word.ownerPid))
  return {
    version: Number(load(word.version)),
    arenaId: load(word.arenaId).toString(16).padStart(16, '0'),
    ownerPid,
    isOwnerAlive: startOf(ownerPid)?.ticks === load(word.ownerStart),
    isClosed: load(word.bucketCount) === 0n,
    budgetBytes: Number(load(word.budgetBytes)),
  }
}

/** When a process began, in clock ticks after the machine, and its state (`T` is stopped); undefined without it. */
export function startOf(pid: number): { readonly ticks: bigint; readonly state: string } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name, second of the fields, may contain anything but ends at the last parenthesis.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return { state: fields[0] as string, ticks: BigInt(fields[19] as string) }
  } catch {
    return undefined
  }
}
