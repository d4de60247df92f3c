/**
 * The ids of all blobs, in pages: what the sweep goes through instead of all entries of the store.
 *
 * Pages are a log. An id is appended to the last one; the sweep drains the first one, appends again what stays, and
 * deletes it. Each page is replaced only by who saw the one before it, so threads of a process may all do so.
 */
import { assert } from '../base/assert.ts'
import { RamcacheError } from '../base/errors.ts'
import type { PinnedEntries } from './pinned.ts'

const idBytes = 16
/** 64 ids: a page is written again, whole, for each of them. */
const pageBytesMax = 64 * idBytes
/** Each failed attempt means that another thread succeeded in between. */
const attemptsMax = 10_000

interface Root {
  readonly first: number
  readonly last: number
  readonly version: string | undefined
}

/** What the list needs of pinned entries. */
type ListedIn = Pick<PinnedEntries, 'peek' | 'setPinned' | 'delete' | 'load'>

export class BlobIds {
  readonly #space: ListedIn
  readonly #settled: () => Promise<void> | undefined

  /** `settled` waits until what was written so far is durable, where anything is. */
  constructor(space: ListedIn, settled: () => Promise<void> | undefined = () => undefined) {
    this.#space = space
    this.#settled = settled
  }

  /** Until RAM has the whole list, as an earlier run has left it. */
  async load(): Promise<void> {
    await this.#space.load(rootKey)
    const { first, last } = this.#root()
    for (let page = first; page <= last; page++) await this.#space.load(pageKey(page))
  }

  /** The page it has gone to. */
  add(id: string): number {
    return this.#append([id])
  }

  /** Takes an id off the page it was added to; if it has moved on, the sweep finds that there is nothing under it. */
  remove(id: string, page: number): void {
    this.#remove([id], page)
  }

  #remove(ids: readonly string[], page: number): void {
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const found = this.#space.peek(pageKey(page))
      if (found === undefined) return
      const left = idsOf(found.value).filter((id) => !ids.includes(id))
      if (this.#replace(page, left, found.version)) return
    }
  }

  /**
   * Shows every id that was there at the start to `keeps`, and forgets those it does not want; of a long list only the
   * first `pagesMax` pages, the others being next. Returns how many were forgotten.
   */
  async drain(keeps: (id: string) => Promise<boolean>, pagesMax = Number.POSITIVE_INFINITY): Promise<number> {
    const root = this.#root()
    const first = root.first
    const last = Math.min(root.last, first + pagesMax - 1)
    let forgotten = 0
    // What is appended from here on waits for the next drain.
    this.#moveTo((root) => ({ first: root.first, last: Math.max(root.last, last + 1) }))
    for (let page = first; page <= last; page++) {
      for (let attempt = 0; ; attempt++) {
        assert(attempt < attemptsMax, 'a page that is drained is left alone by all but stragglers')
        const found = this.#space.peek(pageKey(page))
        const kept: string[] = []
        if (found !== undefined) {
          for (const id of idsOf(found.value)) {
            if (await keeps(id)) kept.push(id)
            else forgotten++
          }
          // Twice for a moment rather than not at all.
          if (kept.length > 0) {
            this.#append(kept)
            // Else a power cut might find them in neither page.
            await this.#settled()
          }
        }
        this.#moveTo((root) => ({ first: Math.max(root.first, page + 1), last: root.last }))
        if (found === undefined || this.#space.delete(pageKey(page), found.version)) break
      }
    }
    return forgotten
  }

  /** At most as many as a page holds. */
  #append(ids: readonly string[]): number {
    const added = Buffer.from(ids.join(''), 'hex')
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const { last } = this.#root()
      const page = this.#space.peek(pageKey(last))
      const bytes = page === undefined ? noBytes : (page.value as Buffer)
      if (bytes.length + added.length > pageBytesMax) {
        this.#moveTo((root) => ({ first: root.first, last: Math.max(root.last, last + 1) }))
      } else if (this.#space.setPinned(pageKey(last), Buffer.concat([bytes, added]), page?.version)) {
        if (this.#root().first <= last) return last
        // The drain had passed this page already.
        this.#remove(ids, last)
      }
    }
    throw new RamcacheError(
      'ERR_RAMCACHE_CONFLICT',
      `a blob could not be recorded in ${attemptsMax} attempts`,
    )
  }

  #replace(page: number, ids: readonly string[], version: string): boolean {
    if (ids.length === 0) return this.#space.delete(pageKey(page), version)
    return this.#space.setPinned(pageKey(page), Buffer.from(ids.join(''), 'hex'), version)
  }

  #root(): Root {
    const found = this.#space.peek(rootKey)
    if (found === undefined) return { first: 0, last: 0, version: undefined }
    const bytes = found.value as Buffer
    const [first, last] = bytes.length === 16 ? [bytes.readDoubleLE(0), bytes.readDoubleLE(8)] : [0, -1]
    if (!(Number.isSafeInteger(first) && Number.isSafeInteger(last) && first <= last)) {
      throw new RamcacheError('ERR_RAMCACHE_CORRUPT', 'the list of all blobs is damaged')
    }
    return { first, last, version: found.version }
  }

  #moveTo(change: (root: Root) => { first: number; last: number }): void {
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const root = this.#root()
      const { first, last } = change(root)
      if (first === root.first && last === root.last) return
      const bytes = Buffer.alloc(16)
      bytes.writeDoubleLE(first, 0)
      bytes.writeDoubleLE(last, 8)
      if (this.#space.setPinned(rootKey, bytes, root.version)) return
    }
  }
}

const rootKey = 'root'
const noBytes = Buffer.alloc(0)

function pageKey(page: number): string {
  return `page/${page}`
}

function idsOf(page: unknown): string[] {
  const text = (page as Buffer).toString('hex')
  return text.match(/.{32}/g) ?? []
}
