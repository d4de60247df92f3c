/**
 * Gives space of the log back: what still stands in a file is appended again at the head, as copies; the log is synced,
 * then the index, and then the file goes. With an HDD tier and the SSD tier full, what nobody has read goes there
 * instead, synced before its row goes; with the last tier full what is coldest goes for good (`room.ts`). Killed between any two steps, the file is still there or not needed.
 * `docs/decisions/0012-log-drain.md`, `0018-hdd-tier.md`.
 *
 * Runs in the thread that keeps the index, in slices: no commit comes between the look at the index and the copies.
 */
import { systemClock } from '../base/clock.ts'
import { binding, type NativeLogState } from '../native/binding.ts'
import { changeHeadBytes, type Move, packMoves } from '../tiers/index-batch.ts'
import { kindClear, kindDelete, storedKey } from '../tiers/index-row.ts'
import type { HddLink } from './hdd-link.ts'
import { IoBudget } from './io-budget.ts'
import { chooseFile, type LogFile } from './log-choice.ts'
import { type LiveBytes, reportIndex } from './log-live.ts'
import { type Pressure, Room, type RoomThread } from './room.ts'

/** Never set back. */
const nowMs = () => systemClock.monotonicUs() / 1000

/** Bytes of a file that are looked at at once: a few milliseconds, in which nothing else of the thread runs. */
const sliceBytes = 512 * 1024
/**
 * Bytes of files that are drained in a second while the log is written to: with 0.7 of them copied some 55 MB of reads
 * and writes, a tenth of what a plain NVMe disk takes, and 10 MB/s of overwrites can go on for ever.
 */
const busyBytesPerSecond = 32 * 1024 * 1024
/** Without a write for this long, the log is quiet. */
const quietMs = 200
/** Moves that are brought to the index at a time: the more, the fewer of its pages are written for each. */
const movesMost = 8192
/** Below this many files' worth of free space a drain does not wait any more. */
const floorFiles = 8
/** After a failure nothing is tried for this long: a repeated one would fill the disk with copies. */
const retryMs = 60_000

/** Tombstones that the HDD tier is told of at a time. */
const tombstonesAtOnce = 4096
/** Bytes of records that go to the HDD tier at a time. */
const demotedBytes = 4 * 1024 * 1024

export interface DrainThread extends RoomThread {
  readonly live: LiveBytes
  readonly fileBytes: number
  /** Bytes of files that may be drained, and of records that may go down, in a second. */
  readonly ssdIoBudget: number | undefined
  readonly hddIoBudget: number | undefined
  /** Brings the index up to the end of the log. */
  checkpoint(): Promise<void>
  isStopping(): boolean
  /** Lets other work of the thread run, after `ms` if given. False when it is to stop. */
  pause(ms: number): Promise<boolean>
}

/** A change that stands, and where. */
interface Standing {
  readonly key: Buffer
  readonly offset: number
  readonly bytes: number
  readonly kind: number
}

/** A record that goes to the HDD tier, and where it is. */
interface Cold {
  readonly key: Buffer
  readonly offset: number
  readonly bytes: number
}

interface Found {
  /** Rows that lead elsewhere from now on, or go. */
  readonly moves: Move[]
  readonly cold: Cold[]
  /** How many were dropped for want of room. */
  evicted: number
}

interface Draining extends Pressure {
  /** No file lies before it. */
  readonly isOldest: boolean
}

/** Why a change was not copied; see `native/node/src/drain.rs`. */
const Kept = { outdated: 1, cold: 2, evicted: 3 } as const
/** What the native part may drop. */
const Evicts = { nothing: 0, coldest: 1, all: 2 } as const
/** Above any version. */
const versionMost = 2n ** 64n - 1n

export class LogDrain {
  readonly #thread: DrainThread
  #written = -1
  #writtenAt = 0
  #retryAt = 0
  /** Files that cannot be read whole stay. */
  readonly #damaged = new Set<number>()
  readonly #room: Room
  readonly #drainIo: IoBudget
  readonly #demoteIo: IoBudget

  constructor(thread: DrainThread) {
    this.#thread = thread
    this.#drainIo = new IoBudget(thread.ssdIoBudget ?? busyBytesPerSecond)
    this.#demoteIo = new IoBudget(thread.hddIoBudget)
    this.#room = new Room(thread)
  }

  /** Drains a file if one is due. False when none is, or the thread is to stop. Does not reject: what fails is warned of. */
  async step(): Promise<boolean> {
    if (nowMs() < this.#retryAt) return false
    let file: LogFile | undefined
    try {
      // Not beside a drain: what that saves below would come after the delete it does not know of yet.
      await this.#bury()
      const state = binding().logState(this.#thread.handle)
      const pressure = await this.#room.look(state)
      if (pressure === undefined) return true
      const oldest = state.files[0]
      file = chooseFile({ files: this.#filesOf(state), oldest, ...this.#stateOf(state), ...pressure })
      if (file === undefined) {
        if (pressure.evicts) await this.#wantFile(state)
        return false
      }
      const isOldest = file.number === oldest
      const { demotes, evicts } = isOldest ? pressure : { demotes: false, evicts: false }
      const isDone = await this.#drain(file, { isOldest, demotes, evicts })
      if (isDone && pressure.evicts) {
        const copied = binding().logState(this.#thread.handle).bytesCopied - state.bytesCopied
        this.#room.made(file.bytes, copied, state.files.length / 2)
      }
      return isDone
    } catch (error) {
      if (this.#thread.isStopping()) return false
      this.#room.failed()
      const { code, message } = error as { code?: string; message: string }
      if (code === 'ERR_RAMCACHE_CORRUPT' && file !== undefined) this.#damaged.add(file.number)
      else this.#retryAt = nowMs() + retryMs
      process.emitWarning(`space of the log was not given back: ${message}`, {
        code: code ?? 'RAMCACHE_DRAIN',
      })
      return false
    }
  }

  /** The HDD tier hears of deletes; only then do their tombstones go. */
  async #bury(): Promise<void> {
    const { index, hdd } = this.#thread
    if (hdd === undefined) return
    for (;;) {
      const tombstones = index.tombstones(tombstonesAtOnce)
      if (tombstones.length === 0) return
      await hdd.drop(tombstones.map(({ key, clock }) => ({ key, version: clock })))
      this.#thread.live.apply(await index.removeTombstones(tombstones))
    }
  }

  /** There must be room, and the index does not have the oldest file yet, or that cannot be read. */
  async #wantFile({ files }: NativeLogState): Promise<void> {
    await this.#thread.checkpoint()
    this.#room.made(0, 0, files.length / 2)
  }

  #filesOf({ files }: NativeLogState): LogFile[] {
    const { index, live } = this.#thread
    const position = index.position()
    const found: LogFile[] = []
    for (let at = 0; at < files.length; at += 2) {
      const number = files[at] as number
      if (number >= position.file) break
      if (this.#damaged.has(number)) continue
      const liveBytes = live.of(number, at === 0)
      found.push({ number, bytes: files[at + 1] as number, liveBytes, deleteBytes: live.deletesOf(number) })
    }
    return found
  }

  #stateOf({ bytesWritten, freeBytes }: NativeLogState): { isQuiet: boolean; isShort: boolean } {
    if (bytesWritten !== this.#written) this.#writtenAt = nowMs()
    this.#written = bytesWritten
    const isQuiet = nowMs() - this.#writtenAt >= quietMs
    return { isQuiet, isShort: freeBytes < floorFiles * this.#thread.fileBytes }
  }

  async #drain({ number: file, bytes }: LogFile, how: Draining): Promise<boolean> {
    const { handle, live, pause } = this.#thread
    let found: Found = { moves: [], cold: [], evicted: 0 }
    let offset = 0
    for (;;) {
      const part = binding().readLogFile(handle, file, offset, sliceBytes)
      this.#copy(file, this.#standing(part.entries, file, how.isOldest), how, found)
      if (part.next === 0) break
      if (found.moves.length >= movesMost) {
        if (!(await this.#move(file, found))) return false
        found = { moves: [], cold: [], evicted: 0 }
      }
      const read = part.next - offset
      offset = part.next
      // Copies that no row leads to are nothing: the next drain makes them again.
      if (!(await pause(how.evicts ? 0 : this.#waitFor(read)))) return false
    }
    if (!(await this.#move(file, found))) return false
    binding().removeLogFile(handle, file)
    live.forget(file)
    return pause(how.evicts ? 0 : this.#waitFor(Math.max(0, bytes - offset)))
  }

  /** How long a slice of so many bytes keeps the drain from the next one. */
  #waitFor(bytes: number): number {
    const { isQuiet, isShort } = this.#stateOf(binding().logState(this.#thread.handle))
    // A budget that was given leaves the disk to others when this store is quiet, too.
    const isFree = isShort || (isQuiet && this.#thread.ssdIoBudget === undefined)
    return isFree ? 0 : this.#drainIo.spend(bytes)
  }

  /** Changes of a part of a file that the index does not contradict. */
  #standing(entries: Buffer, file: number, isOldest: boolean): Standing[] {
    const changes: Standing[] = []
    for (let at = 0; at < entries.length; ) {
      const keyAt = at + changeHeadBytes
      const next = keyAt + entries.readUInt16LE(at)
      changes.push({
        key: entries.subarray(keyAt, next),
        kind: entries[at + 2] as number,
        offset: entries.readUInt32LE(at + 8),
        bytes: entries.readUInt32LE(at + 12),
      })
      at = next
    }
    const keyed = changes.filter(({ kind }) => kind !== kindClear)
    const rows = this.#thread.index.findMany(keyed.map(({ key }) => key))
    const standing = keyed.filter(({ kind, offset }, number) => {
      const row = rows[number]
      // A delete leaves no row; with a row there is something newer to find.
      if (row === undefined) return kind === kindDelete && !isOldest
      return row.file === file && row.offset === offset
    })
    return [...changes.filter(({ kind }) => kind === kindClear), ...standing]
  }

  #copy(file: number, standing: readonly Standing[], how: Draining, found: Found): void {
    if (standing.length === 0) return
    const places = Buffer.alloc(standing.length * 8)
    for (const [number, { offset, bytes }] of standing.entries()) {
      places.writeUInt32LE(offset, number * 8)
      places.writeUInt32LE(bytes, number * 8 + 4)
    }
    const moved = this.#append(file, places, how)
    for (const [number, { key, kind, offset: oldOffset, bytes }] of standing.entries()) {
      const newFile = moved.readUInt32LE(number * 8)
      const offset = moved.readUInt32LE(number * 8 + 4)
      if (kind === kindClear || (newFile === 0 && offset === Kept.outdated)) continue
      if (kind === kindDelete) {
        if (newFile !== 0) this.#thread.live.addDelete(newFile, bytes)
        continue
      }
      const own = Buffer.from(key)
      found.moves.push({ key: own, oldFile: file, oldOffset, file: newFile, offset: newFile && offset })
      if (newFile === 0 && offset === Kept.evicted) found.evicted++
      if (newFile === 0 && offset === Kept.cold) found.cold.push({ key: own, offset: oldOffset, bytes })
    }
  }

  #append(file: number, places: Buffer, { isOldest, demotes, evicts }: Draining): Buffer {
    const { handle } = this.#thread
    const append = (spares: number) => binding().appendCopies(handle, file, places, isOldest, demotes, spares)
    const spares = evicts ? Evicts.coldest : Evicts.nothing
    try {
      return this.#withReserve(() => append(spares))
    } catch (error) {
      if (!evicts || !isFullError(error)) throw error
      return append(Evicts.all)
    }
  }

  /** The reserve is for what makes room; it is made again when there is some. */
  #withReserve<T>(work: () => T): T {
    try {
      return work()
    } catch (error) {
      if (!isFullError(error) || !binding().giveUpReserve(this.#thread.handle)) throw error
      return work()
    }
  }

  /**
   * The lower tier first, then the log, even without moves, for a newer change that made a record superfluous must be
   * durable too; then the index. False when the thread is to stop: then nothing has moved.
   */
  async #move(file: number, { moves, cold, evicted }: Found): Promise<boolean> {
    const { handle, index, live, hdd } = this.#thread
    if (hdd !== undefined) {
      if (!(await this.#demote(file, cold, hdd))) return false
      const coldKeys = new Set(cold.map(({ key }) => key))
      const dead = moves.filter((move) => move.file === 0 && !coldKeys.has(move.key))
      // Whatever there is of them is older.
      await hdd.drop(dead.map(({ key }) => ({ key: storedKey(key), version: versionMost })))
    }
    binding().syncCopies(handle)
    if (moves.length > 0) {
      const packed = packMoves(moves)
      const relocated = index.relocate(packed).catch((error: unknown) => {
        if (!isFullError(error) || !binding().giveUpReserve(handle)) throw error
        return index.relocate(packed)
      })
      live.apply(await relocated)
    }
    if (evicted > 0) binding().countEvicted(handle, 1, evicted)
    reportIndex(handle, index)
    return true
  }

  async #demote(file: number, cold: Cold[], hdd: HddLink): Promise<boolean> {
    cold.sort((left, right) => Buffer.compare(left.key, right.key))
    for (let from = 0; from < cold.length; ) {
      let to = from
      let bytes = 0
      for (; to < cold.length && bytes < demotedBytes; to++) bytes += (cold[to] as Cold).bytes
      await hdd.save(file, cold.slice(from, to))
      from = to
      const { isShort } = this.#stateOf(binding().logState(this.#thread.handle))
      if (!(await this.#thread.pause(isShort ? 0 : this.#demoteIo.spend(bytes)))) return false
    }
    return true
  }
}

function isFullError(error: unknown): boolean {
  return (error as { code?: string }).code === 'ERR_RAMCACHE_FULL'
}
