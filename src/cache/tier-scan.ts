/**
 * A scan over all tiers. The index below has every entry but those that durability `none` keeps in RAM alone: these come
 * first, and are left out when the index has them too by the time it is walked.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { EntryInfo as NativeEntryInfo, ReadSpace, ScanCursor } from '../native/engine.ts'
import type { TierPage } from '../owner/scans.ts'
import { tierEntry } from './tier-entry.ts'
import type { EntryInfo } from './types.ts'

export interface TierScan {
  readonly space: ReadSpace
  readonly prefix: string
  /** Before each page: throws when the scan is to end. */
  check(): void
  /** The page of the index after `from`. */
  page(from: Uint8Array | undefined): Promise<TierPage>
  /** With the size of a blob instead of that of its manifest. */
  sized(entry: NativeEntryInfo): Promise<EntryInfo>
}

export async function* scanTiers(scan: TierScan): AsyncGenerator<EntryInfo, void, undefined> {
  // The price of exactly once: as many keys as RAM has volatile entries.
  const shown = new Set<string>()
  let cursor: ScanCursor | undefined
  do {
    scan.check()
    const page = scan.space.scanVolatile(cursor, scan.prefix)
    for (const [name, entry] of page.entries) {
      shown.add(name)
      yield await scan.sized(entry)
    }
    cursor = page.cursor
    if (cursor !== undefined) await nextTurn()
  } while (cursor !== undefined)
  let from: Uint8Array | undefined
  do {
    scan.check()
    const page = await scan.page(from)
    for (const scanned of page.entries) {
      const isShown = shown.size > 0 && shown.has(Buffer.from(scanned.key).toString('latin1'))
      if (!isShown) yield tierEntry(scanned)
    }
    from = page.next
  } while (from !== undefined)
}
