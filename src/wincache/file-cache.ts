/**
 * Files and resolved paths, kept in the store for all its processes. An entry says when its file was last looked at; who reads
 * it later than `checkMs` after that looks again, and reads the file only when it is another one by inode, size or times.
 */
import { readFile, realpath, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { systemClock } from '../base/clock.ts'
import type { Cache } from '../index.ts'
import type { Counts } from './counts.ts'
import { HitCounts } from './hit-counts.ts'

export const fileNamespace = 'wincache-files'
export const pathNamespace = 'wincache-paths'

export interface FileSettings {
  readonly checkMs: number
  /** 0 = never. */
  readonly unusedMs: number
  readonly fileBytesMax: number
}

interface StoredFile {
  readonly bytes: Buffer
  /** What it was like, in one text. */
  readonly stamp: string
  readonly addedAt: number
  /** 0: to be looked at again. */
  readonly checkedAt: number
}

interface StoredPath {
  readonly absolute: string
  readonly checkedAt: number
}

export interface KeptFile extends Omit<StoredFile, 'bytes'> {
  readonly path: string
  readonly usedAt: number
  readonly size: number
  readonly hits: number
}

/** A file that changes while it is read, again and again, is given out as it is and not kept. */
const attemptsMax = 3

export class FileCache {
  readonly #files: Cache
  readonly #paths: Cache
  readonly #counts: Counts
  readonly #settings: FileSettings
  readonly #hits = new HitCounts()
  /** When this process read each file last, of those that it counts hits of. */
  readonly #used = new Map<string, number>()

  constructor(files: Cache, paths: Cache, counts: Counts, settings: FileSettings) {
    this.#files = files
    this.#paths = paths
    this.#counts = counts
    this.#settings = settings
  }

  /** What `readFile` gives, from the store where that is as new. */
  async read(given: string): Promise<Buffer> {
    const path = resolve(given)
    const entry = await this.#files.getEntry<StoredFile>(path)
    if (entry === undefined) return this.#load(path, undefined)
    const file = entry.value
    if (this.#isFresh(file.checkedAt)) return this.#found(path, file)
    const stamp = await this.#stampOf(path, () => this.#files.delete(path))
    if (stamp !== file.stamp) return this.#load(path, file.addedAt)
    const checked = { ...file, checkedAt: systemClock.nowMs() }
    // Whoever has replaced it meanwhile has looked at it, too.
    await this.#files.set(path, checked, { ...this.#options(), ifVersion: entry.version })
    return this.#found(path, file)
  }

  #found(path: string, { bytes }: StoredFile): Buffer {
    this.#counts.add('fcache hits')
    this.#hits.add(path)
    this.#used.set(path, systemClock.nowMs())
    return bytes
  }

  async #load(path: string, addedAt = systemClock.nowMs()): Promise<Buffer> {
    this.#counts.add('fcache misses')
    this.#hits.forget(path)
    this.#used.delete(path)
    for (let attempt = 1; ; attempt++) {
      const checkedAt = systemClock.nowMs()
      const before = await this.#stampOf(path, () => this.#files.delete(path))
      const bytes = await readFile(path)
      const isSame = before === (await this.#stampOf(path, () => this.#files.delete(path)))
      if (!isSame && attempt < attemptsMax) continue
      if (isSame && bytes.length <= this.#settings.fileBytesMax) {
        await this.#files.set(path, { bytes, stamp: before, addedAt, checkedAt }, this.#options())
      } else {
        await this.#files.delete(path)
      }
      return bytes
    }
  }

  /** The path without links, `.` and `..`. */
  async resolve(given: string): Promise<string> {
    const path = resolve(given)
    const known = await this.#paths.get<StoredPath>(path)
    if (known !== undefined && this.#isFresh(known.checkedAt)) {
      this.#counts.add('rplist hits')
      return known.absolute
    }
    this.#counts.add('rplist misses')
    const checkedAt = systemClock.nowMs()
    const absolute = await realpath(path).catch(async (error) => {
      await this.#paths.delete(path)
      throw error
    })
    await this.#paths.set(path, { absolute, checkedAt }, this.#options())
    return absolute
  }

  /** Has files, or all of them, looked at again by whoever reads them next, in any process. */
  async refreshIfChanged(given: readonly string[] | undefined): Promise<void> {
    const paths = given?.map((path) => resolve(path))
    for (const path of paths ?? (await keysOf(this.#files))) {
      const entry = await this.#files.getEntry<StoredFile>(path)
      if (entry === undefined) continue
      // In a version that somebody has just written, it was looked at just now.
      const marked = { ...entry.value, checkedAt: 0 }
      await this.#files.set(path, marked, { ...this.#options(), ifVersion: entry.version })
    }
    if (paths === undefined) await this.#paths.clear()
    else await this.#paths.deleteMany(paths)
  }

  async kept(): Promise<KeptFile[]> {
    const kept: KeptFile[] = []
    for (const path of await keysOf(this.#files)) {
      const file = await this.#files.get<StoredFile>(path)
      if (file === undefined) continue
      const { stamp, addedAt, checkedAt, bytes } = file
      const usedAt = this.#used.get(path) ?? addedAt
      kept.push({ path, stamp, addedAt, checkedAt, usedAt, size: bytes.length, hits: this.#hits.of(path) })
    }
    return kept
  }

  async resolved(): Promise<{ path: string; absolute: string }[]> {
    const resolved: { path: string; absolute: string }[] = []
    for (const path of await keysOf(this.#paths)) {
      const known = await this.#paths.get<StoredPath>(path)
      if (known !== undefined) resolved.push({ path, absolute: known.absolute })
    }
    return resolved
  }

  #isFresh(checkedAt: number): boolean {
    return checkedAt !== 0 && systemClock.nowMs() - checkedAt <= this.#settings.checkMs
  }

  #options(): { idle?: number } {
    return this.#settings.unusedMs === 0 ? {} : { idle: this.#settings.unusedMs }
  }

  /** What tells one state of a file from another. What is not there any more is not kept, either. */
  async #stampOf(path: string, forget: () => Promise<unknown>): Promise<string> {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true }).catch(async (error) => {
      await forget()
      throw error
    })
    return [dev, ino, size, mtimeNs, ctimeNs].join(' ')
  }
}

async function keysOf(cache: Cache): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of cache.scan()) keys.push(key)
  return keys
}
