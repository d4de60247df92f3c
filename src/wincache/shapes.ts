/** What the functions that inform return, by WinCache's names. Sizes are bytes, times seconds. */

/** An array of PHP that begins at 1. */
export type Rows<T> = Record<number, T>

export interface CacheEntryInfo {
  key_name: string
  value_type: string
  value_size: number
  is_session: boolean
  /** As it was set, 0 = none. */
  ttl_seconds: number
  /** Since the last write. */
  age_seconds: number
  /** Of this process, since it wrote the entry last. */
  hitcount: number
}

export interface CacheTotals {
  total_cache_uptime: number
  is_local_cache: boolean
  total_item_count: number
  total_hit_count: number
  total_miss_count: number
}

export interface UcacheInfo extends CacheTotals {
  ucache_entries: Rows<CacheEntryInfo>
}

export interface ScacheInfo extends CacheTotals {
  scache_entries: Rows<CacheEntryInfo>
}

export interface MemoryInfo {
  memory_total: number
  memory_free: number
  num_used_blks: number
  num_free_blks: number
  memory_overhead: number
}

export function rowsOf<T>(list: readonly T[]): Rows<T> {
  return Object.fromEntries(list.map((row, index) => [index + 1, row]))
}

export interface FileTotals {
  total_cache_uptime: number
  is_local_cache: boolean
  total_file_count: number
  total_hit_count: number
  total_miss_count: number
}

/** Times are seconds ago. */
export interface FileEntryInfo {
  file_name: string
  add_time: number
  use_time: number
  last_check: number
  file_size: number
  hit_count: number
}

export interface FcacheInfo extends FileTotals {
  file_entries: Rows<FileEntryInfo>
}

export interface OcacheInfo extends FileTotals {
  file_entries: Rows<FileEntryInfo & { function_count: number; class_count: number }>
}

export interface RplistInfo {
  total_file_count: number
  rplist_entries: Rows<{ resolve_path: string; subkey_data: string; absolute_path: string }>
}
