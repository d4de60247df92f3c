/**
 * Scans in pages, without memory of the scans under way: the cursor says where one goes on.
 *
 * ```text
 * r COUNT.BUCKET   RAM, all entries       v COUNT.BUCKET   RAM, those that the index does not have
 * i KEY            the index of the tiers, after KEY
 * ```
 */
import { RamcacheError, show } from '../base/errors.ts'
import { tierEntry } from '../cache/tier-entry.ts'
import type { EntryInfo } from '../cache/types.ts'
import { Manifest, manifestBytes } from '../codec/blob.ts'
import type { EntryInfo as NativeEntryInfo, ReadSpace, ScanCursor } from '../native/engine.ts'
import type { TierScans } from '../owner/scans.ts'

export interface ScannedEntry extends EntryInfo {
  readonly keyBytes: Uint8Array
}

export interface ScannedPage {
  readonly entries: readonly ScannedEntry[]
  /** Empty at the end. */
  readonly cursor: Buffer
}

export type ScanTier = 'any' | 'ram' | 'ssd' | 'hdd'

const end = Buffer.alloc(0)

export interface Scanned {
  readonly space: ReadSpace
  readonly scans: TierScans
  readonly namespace: string
}

/** The page behind a cursor; the first one when it is empty. Throws ERR_RAMCACHE_CONFIG for what is no cursor. */
export async function scanPage(
  scanned: Scanned,
  prefix: string,
  tier: ScanTier,
  cursor: Buffer,
): Promise<ScannedPage> {
  const { space } = scanned
  const reachesBelow = space.reachesBelow
  if (!reachesBelow && (tier === 'ssd' || tier === 'hdd')) return { entries: [], cursor: end }
  const phase =
    cursor.length === 0 ? (reachesBelow && tier !== 'ram' ? 'v' : 'r') : cursor.toString('latin1', 0, 1)
  if (phase === 'r') return ramPage(space, prefix, placeOf(cursor))
  const page = phase === 'v' ? volatilePage(space, prefix, placeOf(cursor)) : undefined
  if (page !== undefined) {
    const entries = await sized(space, page.entries)
    return { entries: entries.filter((entry) => tier === 'any' || entry.tier === tier), cursor: page.cursor }
  }
  if (phase !== 'i') throw badCursor(cursor)
  return indexPage(scanned, prefix, tier, cursor.length === 1 ? undefined : cursor.subarray(1))
}

async function ramPage(
  space: ReadSpace,
  prefix: string,
  place: ScanCursor | undefined,
): Promise<ScannedPage> {
  const page = space.scan(place, prefix)
  const entries = page.entries.map((entry) => ({ ...entry, keyBytes: Buffer.from(entry.key) }))
  return { entries: await sized(space, entries), cursor: cursorOf('r', page.cursor) ?? end }
}

function volatilePage(space: ReadSpace, prefix: string, place: ScanCursor | undefined): ScannedPage {
  const page = space.scanVolatile(place, prefix)
  const entries = page.entries.map(([name, entry]) => ({ ...entry, keyBytes: Buffer.from(name, 'latin1') }))
  return { entries, cursor: cursorOf('v', page.cursor) ?? Buffer.from('i') }
}

async function indexPage(
  { scans, namespace }: Scanned,
  prefix: string,
  tier: ScanTier,
  from: Buffer | undefined,
): Promise<ScannedPage> {
  const page = await scans.page(namespace, prefix, from)
  const entries = page.entries.map((scanned) => ({ ...tierEntry(scanned), keyBytes: scanned.key }))
  const cursor = page.next === undefined ? end : Buffer.concat([Buffer.from('i'), page.next])
  return { entries: entries.filter((entry) => tier === 'any' || entry.tier === tier), cursor }
}

/** A page of RAM has no values: what is as long as a manifest is looked at. */
async function sized(space: ReadSpace, entries: readonly (NativeEntryInfo & { keyBytes: Uint8Array })[]) {
  const found: ScannedEntry[] = []
  for (const entry of entries) {
    const isShort = entry.size - entry.keyBytes.length !== manifestBytes
    const whole = isShort ? undefined : await space.look(entry.keyBytes)
    const isBlob = whole?.version === entry.version && whole.value instanceof Manifest
    found.push(isBlob ? { ...entry, size: (whole.value as Manifest).totalBytes, isBlob: true } : entry)
  }
  return found
}

function cursorOf(phase: string, place: ScanCursor | undefined): Buffer | undefined {
  return place && Buffer.from(`${phase}${place.bucketCount}.${place.bucket}`)
}

function placeOf(cursor: Buffer): ScanCursor | undefined {
  if (cursor.length === 0) return undefined
  const match = /^.(\d{1,15})\.(\d{1,15})$/.exec(cursor.toString('latin1'))
  if (match === null) throw badCursor(cursor)
  return { bucketCount: Number(match[1]), bucket: Number(match[2]) }
}

function badCursor(cursor: Buffer): RamcacheError {
  return new RamcacheError('ERR_RAMCACHE_CONFIG', `${show(cursor.toString('latin1'))} is no cursor of a scan`)
}
