/**
 * What goes from a full HDD tier: a hand goes round its keys, and of each page it drops the older half of what may go and
 * what nobody has read since it came by before (a CLOCK whose pages are in order of age). A version is the age of an
 * entry's last write; a copy of what has moved up meanwhile is older than what has not, and goes first.
 */
import { setImmediate as turn } from 'node:timers/promises'
import type { HddTier } from '../tiers/hdd.ts'
import type { TierEntry } from '../tiers/tier.ts'

/** Entries looked at together: they are compared with each other, and all of them are in memory. */
const pageEntries = 128
/** One round drops a small part of all, and no more than this; then it gives the space back. */
const roundBytes = 16 * 1024 * 1024
const roundShare = 16
/** Everything was read when the hand came by first; not a second time. */
const turnsMost = 2

export interface HandOwner {
  /** Whether a record may go, and nobody has read it since this was asked before. */
  isExpendable(record: Buffer): boolean
  /** Called when so many are gone. */
  dropped(entries: number): Promise<void>
}

export class HddHand {
  readonly #tier: HddTier
  readonly #owner: HandOwner
  #at: Buffer | undefined

  constructor(tier: HddTier, owner: HandOwner) {
    this.#tier = tier
    this.#owner = owner
  }

  /** One round: how many entries went. 0 when none may. `givesBack`: their space is wanted now. */
  async evict(givesBack: boolean): Promise<number> {
    const goal = Math.min(roundBytes, (await this.#tier.stats()).bytes / roundShare)
    let [count, bytes, turns] = [0, 0, 0]
    let [lowest, highest]: (Buffer | undefined)[] = []
    while (bytes < goal && turns < turnsMost) {
      const { found, next } = await this.#tier.scanRecords(Buffer.alloc(0), this.#at, pageEntries)
      const going = this.#choose(found)
      if (going.length > 0) {
        await this.#tier.drop(going)
        count += going.length
        for (const { key, record } of going) bytes += key.length + record.length
        const { key: first } = found[0] as TierEntry
        const { key: last } = found.at(-1) as TierEntry
        if (lowest === undefined || Buffer.compare(first, lowest) < 0) lowest = first
        if (highest === undefined || Buffer.compare(last, highest) > 0) highest = last
        await this.#owner.dropped(going.length)
      }
      this.#at = next
      if (next === undefined) turns++
      await turn()
    }
    if (givesBack && lowest !== undefined && highest !== undefined) await this.#tier.giveBack(lowest, highest)
    return count
  }

  #choose(found: readonly TierEntry[]): TierEntry[] {
    const expendable = found.filter(({ record }) => this.#owner.isExpendable(record))
    expendable.sort((left, right) => (left.version < right.version ? -1 : 1))
    return expendable.slice(0, Math.ceil(expendable.length / 2))
  }
}
