/** What WinCache says of its file, path and opcode caches. */
import { systemClock } from '../base/clock.ts'
import type { Cache } from '../index.ts'
import type { Counts } from './counts.ts'
import { countEntries } from './entries.ts'
import { type FileCache, fileNamespace, pathNamespace } from './file-cache.ts'
import { type FcacheInfo, type RplistInfo, rowsOf } from './shapes.ts'

export class FileInfo {
  readonly #files: FileCache
  readonly #root: Cache
  readonly #counts: Counts

  constructor(files: FileCache, root: Cache, counts: Counts) {
    this.#files = files
    this.#root = root
    this.#counts = counts
  }

  async fileInfo(isSummary: boolean): Promise<FcacheInfo> {
    const kept = isSummary ? [] : await this.#files.kept()
    const now = systemClock.nowMs()
    const ago = (time: number) => Math.max(0, Math.floor((now - time) / 1000))
    return {
      total_cache_uptime: (await this.#root.stats()).uptimeSeconds,
      is_local_cache: false,
      total_file_count: isSummary ? await this.#count(fileNamespace) : kept.length,
      total_hit_count: await this.#counts.total('fcache hits'),
      total_miss_count: await this.#counts.total('fcache misses'),
      file_entries: rowsOf(
        kept.map(({ path, addedAt, usedAt, checkedAt, size, hits }) => ({
          file_name: path,
          add_time: ago(addedAt),
          use_time: ago(usedAt),
          last_check: ago(checkedAt),
          file_size: size,
          hit_count: hits,
        })),
      ),
    }
  }

  async pathInfo(isSummary: boolean): Promise<RplistInfo> {
    const resolved = isSummary ? [] : await this.#files.resolved()
    return {
      total_file_count: isSummary ? await this.#count(pathNamespace) : resolved.length,
      rplist_entries: rowsOf(
        resolved.map(({ path, absolute }) => ({
          resolve_path: path,
          subkey_data: '',
          absolute_path: absolute,
        })),
      ),
    }
  }

  #count(namespace: string): Promise<number> {
    return countEntries(this.#root.namespace(namespace), namespace)
  }
}
