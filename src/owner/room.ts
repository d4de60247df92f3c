/**
 * Whether the tiers have room for what is written, and what a drain of the log does when they have not: what is cold goes
 * to the HDD tier, or, where the last tier is full as well, goes for good, as far as its namespace lets it
 * (`onFull: 'evict-coldest'`). `docs/decisions/0022-on-full.md`.
 */
import { statfsSync } from 'node:fs'
import { systemClock } from '../base/clock.ts'
import { binding, type NativeHandle, type NativeLogState } from '../native/binding.ts'
import type { LogIndex } from '../tiers/log-index.ts'
import type { HddLink } from './hdd-link.ts'

/** What is left free of a file system, unless the options say otherwise: a twentieth of it, at most this. */
const floorMost = 4 * 1024 ** 3
const floorShare = 20
/**
 * Where entries may be dropped that begins with this much free at the latest, in reserves of the log, and with half of it
 * values wait: what makes room needs room itself, for checkpoints and copies.
 */
const spareReserves = 2
/** A drain that copies more of its file than this has made no room. */
const copiedShareMost = 0.95
/** When a round of all files has made no room, nothing is dropped for this long. */
const restMs = 60_000

export interface RoomThread {
  readonly handle: NativeHandle
  readonly index: LogIndex
  readonly hdd: HddLink | undefined
  readonly reserveBytes: number
  readonly ssdDir: string
  readonly ssdFloorBytes: number | undefined
  readonly ssdBudgetBytes: number | undefined
  readonly hddDir: string | undefined
  readonly hddFloorBytes: number | undefined
  readonly hddBudgetBytes: number | undefined
}

export interface Pressure {
  /** What nobody has read goes to the HDD tier. */
  readonly demotes: boolean
  /** What is coldest goes for good. */
  readonly evicts: boolean
}

const none: Pressure = { demotes: false, evicts: false }

export class Room {
  readonly #thread: RoomThread
  /** Drains in a row that were to make room and have made none. */
  #vain = 0
  #restsUntil = 0
  #isMakingRoom: boolean | undefined

  constructor(thread: RoomThread) {
    this.#thread = thread
  }

  /** What the next drain is to do; `undefined` when the HDD tier has made some room, and this is to be asked again. */
  async look(state: NativeLogState): Promise<Pressure | undefined> {
    const { hdd } = this.#thread
    const mayDrop = state.mayDrop && nowMs() >= this.#restsUntil
    if (mayDrop) this.#say(true)
    if (!this.#isFull(state, mayDrop)) return none
    if (hdd === undefined) return { demotes: false, evicts: mayDrop }
    const isDiskFull = this.#isDiskBelowFull()
    if (!isDiskFull && (await this.#isWithinBudget(hdd))) return { demotes: true, evicts: false }
    if (!mayDrop) return none
    // When nothing there may go, what comes from above goes.
    return (await hdd.evict(isDiskFull)) > 0 ? undefined : { demotes: false, evicts: true }
  }

  /** Hears what a drain that was to make room has made of a file; 0 bytes when there was none to be drained. */
  made(fileBytes: number, copiedBytes: number, files: number): void {
    const isVain = copiedBytes >= fileBytes * copiedShareMost
    this.#vain = isVain ? this.#vain + 1 : 0
    if (this.#vain <= files) this.#say(true)
    else this.failed()
  }

  /** There is no room to be made, for some time: writers are refused. */
  failed(): void {
    this.#vain = 0
    this.#restsUntil = nowMs() + restMs
    this.#say(false)
  }

  #say(isMakingRoom: boolean): void {
    if (isMakingRoom === this.#isMakingRoom) return
    this.#isMakingRoom = isMakingRoom
    const { handle, reserveBytes } = this.#thread
    binding().setMakingRoom(handle, isMakingRoom, reserveBytes)
  }

  /** Whether the SSD tier has what it may have. Without a tier below that matters only where entries may be dropped. */
  #isFull({ files, freeBytes }: NativeLogState, mayDrop: boolean): boolean {
    const { hdd, index, reserveBytes, ssdDir, ssdFloorBytes, ssdBudgetBytes } = this.#thread
    if (hdd === undefined && !mayDrop) return false
    const spareBytes = mayDrop ? spareReserves * reserveBytes : 0
    if (freeBytes < Math.max(ssdFloorBytes ?? floorOf(ssdDir), spareBytes)) return true
    if (ssdBudgetBytes === undefined) return false
    // The file of the index never shrinks: what it does not use any more would have everything dropped.
    let bytes = index.usedBytes()
    for (let at = 1; at < files.length; at += 2) bytes += files[at] as number
    return bytes > ssdBudgetBytes
  }

  #isDiskBelowFull(): boolean {
    const { hddDir, hddFloorBytes } = this.#thread
    if (hddDir === undefined) return true
    const { bavail, bsize } = statfsSync(hddDir)
    return bavail * bsize < (hddFloorBytes ?? floorOf(hddDir))
  }

  async #isWithinBudget(hdd: HddLink): Promise<boolean> {
    const { hddBudgetBytes } = this.#thread
    return hddBudgetBytes === undefined || (await hdd.count()).bytes < hddBudgetBytes
  }
}

/** Never set back. */
function nowMs(): number {
  return systemClock.monotonicUs() / 1000
}

function floorOf(path: string): number {
  const { blocks, bsize } = statfsSync(path)
  return Math.min(floorMost, Math.floor((blocks * bsize) / floorShare))
}
