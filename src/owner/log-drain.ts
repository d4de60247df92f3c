/**
 * Gives space of the log back: what still stands in a file is appended again at the head, as copies; the log is synced,
 * then the index, and then the file goes. Killed between any two steps, the file is still there or not needed.
 * `docs/decisions/0012-log-drain.md`.
 *
 * Runs in the thread that keeps the index, in slices: no commit comes between the look at the index and the copies.
 */
import { binding, type NativeHandle, type NativeLogState } from '../native/binding.ts'
import { changeHeadBytes, type Move, packMoves } from '../tiers/index-batch.ts'
import { kindClear, kindDelete } from '../tiers/index-row.ts'
import type { LogIndex } from '../tiers/log-index.ts'
import { chooseFile, type LogFile } from './log-choice.ts'
import type { LiveBytes } from './log-live.ts'

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
const movesMost = 65_536
/** Below this many files' worth of free space a drain does not wait any more. */
const floorFiles = 8
/** After a failure nothing is tried for this long: a repeated one would fill the disk with copies. */
const retryMs = 60_000

export interface DrainThread {
  readonly handle: NativeHandle
  readonly index: LogIndex
  readonly live: LiveBytes
  readonly fileBytes: number
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

export class LogDrain {
  readonly #thread: DrainThread
  #written = -1
  #writtenAt = 0
  #retryAt = 0
  /** Files that cannot be read whole stay. */
  readonly #damaged = new Set<number>()

  constructor(thread: DrainThread) {
    this.#thread = thread
  }

  /** Drains a file if one is due. False when none is, or the thread is to stop. Does not reject: what fails is warned of. */
  async step(): Promise<boolean> {
    if (Date.now() < this.#retryAt) return false
    let file: LogFile | undefined
    try {
      const state = binding().logState(this.#thread.handle)
      const oldest = state.files[0]
      file = chooseFile({ files: this.#filesOf(state), oldest, ...this.#pressureOf(state) })
      if (file === undefined) return false
      return await this.#drain(file.number, file.number === oldest)
    } catch (error) {
      const { code, message } = error as { code?: string; message: string }
      if (code === 'ERR_RAMCACHE_CORRUPT' && file !== undefined) this.#damaged.add(file.number)
      else this.#retryAt = Date.now() + retryMs
      process.emitWarning(`space of the log was not given back: ${message}`, {
        code: code ?? 'RAMCACHE_DRAIN',
      })
      return false
    }
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

  #pressureOf({ bytesWritten, freeBytes }: NativeLogState): { isQuiet: boolean; isShort: boolean } {
    if (bytesWritten !== this.#written) this.#writtenAt = Date.now()
    this.#written = bytesWritten
    const isQuiet = Date.now() - this.#writtenAt >= quietMs
    return { isQuiet, isShort: freeBytes < floorFiles * this.#thread.fileBytes }
  }

  async #drain(file: number, isOldest: boolean): Promise<boolean> {
    const { handle, live, pause } = this.#thread
    let moves: Move[] = []
    for (let offset = 0; ; ) {
      const part = binding().readLogFile(handle, file, offset, sliceBytes)
      this.#copy(file, this.#standing(part.entries, file, isOldest), isOldest, moves)
      if (part.next === 0) break
      if (moves.length >= movesMost) {
        await this.#move(moves)
        moves = []
      }
      const read = part.next - offset
      offset = part.next
      // Copies that no row leads to are nothing: the next drain makes them again.
      if (!(await pause(this.#waitFor(read)))) return false
    }
    await this.#move(moves)
    binding().removeLogFile(handle, file)
    live.forget(file)
    return true
  }

  /** How long a slice of so many bytes keeps the drain from the next one. */
  #waitFor(bytes: number): number {
    const { isQuiet, isShort } = this.#pressureOf(binding().logState(this.#thread.handle))
    return isQuiet || isShort ? 0 : (bytes / busyBytesPerSecond) * 1000
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

  #copy(file: number, standing: readonly Standing[], isOldest: boolean, moves: Move[]): void {
    if (standing.length === 0) return
    const places = Buffer.alloc(standing.length * 8)
    for (const [number, { offset, bytes }] of standing.entries()) {
      places.writeUInt32LE(offset, number * 8)
      places.writeUInt32LE(bytes, number * 8 + 4)
    }
    const moved = this.#append(file, places, isOldest)
    for (const [number, { key, kind, offset: oldOffset, bytes }] of standing.entries()) {
      const newFile = moved.readUInt32LE(number * 8)
      const offset = moved.readUInt32LE(number * 8 + 4)
      const isOutdated = newFile === 0 && offset !== 0
      if (isOutdated || kind === kindClear) continue
      if (kind === kindDelete) {
        if (newFile !== 0) this.#thread.live.addDelete(newFile, bytes)
      } else moves.push({ key: Buffer.from(key), oldFile: file, oldOffset, file: newFile, offset })
    }
  }

  #append(file: number, places: Buffer, isOldest: boolean): Buffer {
    const { handle } = this.#thread
    try {
      return binding().appendCopies(handle, file, places, isOldest)
    } catch (error) {
      // What the reserve is for; it is made again when the file is gone.
      const isFull = (error as { code?: string }).code === 'ERR_RAMCACHE_FULL'
      if (!isFull || !binding().giveUpReserve(handle)) throw error
      return binding().appendCopies(handle, file, places, isOldest)
    }
  }

  /** The log is synced first, even without moves: a newer change that made a record superfluous must be durable too. */
  async #move(moves: readonly Move[]): Promise<void> {
    const { handle, index, live } = this.#thread
    binding().syncCopies(handle)
    if (moves.length > 0) live.apply(await index.relocate(packMoves(moves)))
  }
}
