/** The reference tier: a Map. What another tier does differently, it does wrong. Tests use it as a lower tier too. */
import { RamcacheError } from '../base/errors.ts'
import { beginsWith, checkKey, checkLimit, keyAfter, laterKey } from './keys.ts'
import type { Tier, TierDrop, TierEntry, TierPage, TierRecord, TierStats } from './tier.ts'

/** What a `MapTier` holds; outlives it like a directory, so that a tier can be opened again over the same entries. */
export type MapTierStore = Map<string, TierEntry>

export class MapTier implements Tier {
  readonly #store: MapTierStore
  #isOpen = false

  constructor(store: MapTierStore = new Map()) {
    this.#store = store
  }

  async open(): Promise<void> {
    this.#isOpen = true
  }

  async close(): Promise<void> {
    this.#isOpen = false
  }

  async load(keys: readonly Buffer[]): Promise<(TierRecord | undefined)[]> {
    this.#check()
    for (const key of keys) checkKey(key)
    return keys.map((key) => {
      const entry = this.#store.get(nameOf(key))
      if (entry === undefined) return undefined
      const { record, version, expiresAt } = entry
      return { record: Buffer.from(record), version, expiresAt }
    })
  }

  async save(entries: readonly TierEntry[]): Promise<void> {
    this.#check()
    for (const { key } of entries) checkKey(key)
    for (const entry of entries) {
      const name = nameOf(entry.key)
      const stored = this.#store.get(name)
      if (stored !== undefined && stored.version >= entry.version) continue
      this.#store.set(name, { ...entry, key: Buffer.from(entry.key), record: Buffer.from(entry.record) })
    }
  }

  async drop(keys: readonly TierDrop[]): Promise<void> {
    this.#check()
    for (const { key } of keys) checkKey(key)
    for (const { key, version } of keys) {
      const stored = this.#store.get(nameOf(key))
      if (stored !== undefined && stored.version <= version) this.#store.delete(nameOf(key))
    }
  }

  async scan(prefix: Buffer, from: Buffer | undefined, limit: number): Promise<TierPage> {
    this.#check()
    checkLimit(limit)
    const start = laterKey(prefix, from)
    const found = [...this.#store.values()]
      .filter(({ key }) => beginsWith(key, prefix) && Buffer.compare(key, start) >= 0)
      .sort((left, right) => Buffer.compare(left.key, right.key))
    const entries = found.slice(0, limit).map(({ key, record, version, expiresAt }) => {
      return { key: Buffer.from(key), version, expiresAt, recordBytes: record.length }
    })
    const last = entries.at(-1)
    return { entries, next: found.length > limit && last !== undefined ? keyAfter(last.key) : undefined }
  }

  async stats(): Promise<TierStats> {
    this.#check()
    let bytes = 0
    for (const { key, record } of this.#store.values()) bytes += key.length + record.length
    return { entries: this.#store.size, bytes }
  }

  #check(): void {
    if (!this.#isOpen) throw new RamcacheError('ERR_RAMCACHE_CLOSED', 'the tier is not open')
  }
}

/** Bytes as a string, one character each: a Map compares Buffers by identity. */
function nameOf(key: Buffer): string {
  return key.toString('latin1')
}
