/**
 * Copies of the HDD tier, made page by page into LevelDB databases of their own: whoever asks for pages can give a copy up,
 * and reads go on between two. While nothing is saved (`drain-hold.ts`) only what is dead goes meanwhile, so that pages need
 * not be of one moment.
 */
import { HddTier } from '../tiers/hdd.ts'

/** Entries of a page, and about as many bytes: one batch, one sync. */
const pageEntries = 1000
const pageBytes = 8 * 1024 * 1024

const noBytes = Buffer.alloc(0)

export class HddCopies {
  readonly #tier: HddTier
  readonly #open = new Map<string, HddTier>()

  constructor(tier: HddTier) {
    this.#tier = tier
  }

  /** Copies a page to the database in `target`, which the first one makes: how many, and where the next one begins. */
  async copyPage(
    target: string,
    from: Buffer | undefined,
  ): Promise<{ entries: number; next: Buffer | undefined }> {
    let copy = this.#open.get(target)
    if (copy === undefined) {
      copy = new HddTier(target)
      this.#open.set(target, copy)
      await copy.open()
    }
    const { entries, bytes } = await this.#tier.stats()
    const limit = Math.min(pageEntries, Math.max(1, Math.floor((pageBytes * entries) / Math.max(1, bytes))))
    const { found, next } = await this.#tier.scanRecords(noBytes, from, limit)
    await copy.save(found)
    if (next === undefined) await this.end(target)
    return { entries: found.length, next }
  }

  /** Whether it has come to its end or not. */
  async end(target: string): Promise<void> {
    const copy = this.#open.get(target)
    this.#open.delete(target)
    await copy?.close()
  }

  async close(): Promise<void> {
    for (const target of this.#open.keys()) await this.end(target)
  }
}
