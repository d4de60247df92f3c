/** The file cache, and what WinCache says of it, of resolved paths and of compiled scripts. */
import { isArray, type PhpArray, pairsOf, warn } from './arguments.ts'
import { attempt } from './attempt.ts'
import type { FcacheInfo, MemoryInfo, OcacheInfo, RplistInfo } from './shapes.ts'
import { thread } from './thread.ts'

/** In place of the functions of PHP that WinCache reroutes. Both throw what `node:fs` does. */
export const fileCache = {
  /** The bytes of a file, which all processes of the store keep for each other. */
  read(path: string): Buffer {
    const bytes = thread().call('readFile', path)
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  },
  /** The path without links, `.` and `..`. */
  resolve(path: string): string {
    return thread().call('resolvePath', path)
  },
  refreshIfChanged(files?: readonly string[]): boolean {
    return wincache_refresh_if_changed(files)
  },
}

/** Has some files, or all, looked at again by whoever reads them next. */
export function wincache_refresh_if_changed(files: PhpArray<string> | null = null): boolean {
  const name = 'wincache_refresh_if_changed'
  if (!thread().options.hasFileCache) return false
  let paths: string[] | undefined
  if (files !== null) {
    if (!isArray(files)) return warn(name, 'takes an array of files')
    const given = pairsOf(files).map(([, path]) => path)
    if (!given.every((path) => typeof path === 'string')) return false
    paths = given
  }
  return attempt(name, () => thread().call('refresh', paths) === undefined, false)
}

/** Files that are kept. */
export function wincache_fcache_fileinfo(summaryonly: unknown = false): FcacheInfo | false {
  const ask = () => thread().call('fileInfo', Boolean(summaryonly))
  return attempt<FcacheInfo | false>('wincache_fcache_fileinfo', ask, false)
}

/** Of the whole store. */
export function wincache_fcache_meminfo(): MemoryInfo | false {
  return attempt<MemoryInfo | false>('wincache_fcache_meminfo', () => thread().call('memory'), false)
}

/** Paths whose resolution is kept. */
export function wincache_rplist_fileinfo(summaryonly: unknown = false): RplistInfo | false {
  const ask = () => thread().call('pathInfo', Boolean(summaryonly))
  return attempt<RplistInfo | false>('wincache_rplist_fileinfo', ask, false)
}

/** Of the whole store. */
export function wincache_rplist_meminfo(): MemoryInfo | false {
  return attempt<MemoryInfo | false>('wincache_rplist_meminfo', () => thread().call('memory'), false)
}

/** Nothing: Node keeps compiled scripts by itself. */
export function wincache_ocache_fileinfo(_summaryonly: unknown = false): OcacheInfo {
  return {
    total_cache_uptime: 0,
    is_local_cache: false,
    total_file_count: 0,
    total_hit_count: 0,
    total_miss_count: 0,
    file_entries: {},
  }
}

/** Nothing, as of `wincache_ocache_fileinfo`. */
export function wincache_ocache_meminfo(): MemoryInfo {
  return { memory_total: 0, memory_free: 0, num_used_blks: 0, num_free_blks: 0, memory_overhead: 0 }
}
