/** The public names of `ramcache/wincache`: the functions of PHP's WinCache, over a store. */

export type { WincacheOptions } from './config/wincache-options.ts'
export type { PhpArray } from './wincache/arguments.ts'
export {
  fileCache,
  wincache_fcache_fileinfo,
  wincache_fcache_meminfo,
  wincache_ocache_fileinfo,
  wincache_ocache_meminfo,
  wincache_refresh_if_changed,
  wincache_rplist_fileinfo,
  wincache_rplist_meminfo,
} from './wincache/file-functions.ts'
export { wincache_lock, wincache_unlock } from './wincache/lock-functions.ts'
export type { Long } from './wincache/longs.ts'
export { wincache_scache_info, wincache_scache_meminfo } from './wincache/session-functions.ts'
export type {
  CacheEntryInfo,
  CacheTotals,
  FcacheInfo,
  FileEntryInfo,
  FileTotals,
  MemoryInfo,
  OcacheInfo,
  Rows,
  RplistInfo,
  ScacheInfo,
  UcacheInfo,
} from './wincache/shapes.ts'
export { closeSync, openSync } from './wincache/thread.ts'
export {
  type Failures,
  type Success,
  wincache_ucache_add,
  wincache_ucache_cas,
  wincache_ucache_clear,
  wincache_ucache_dec,
  wincache_ucache_delete,
  wincache_ucache_exists,
  wincache_ucache_get,
  wincache_ucache_inc,
  wincache_ucache_info,
  wincache_ucache_meminfo,
  wincache_ucache_set,
} from './wincache/user-functions.ts'
