/** The public names of the package. */
export { type ErrorCode, RamcacheError } from './base/errors.ts'
export { attach, connect, open } from './cache/open.ts'
export type {
  Cache,
  DiskTierStats,
  Entry,
  EntryInfo,
  Key,
  LatencyStats,
  Lease,
  Limiter,
  LimiterResult,
  NamespaceStats,
  ReadonlyCache,
  Stats,
} from './cache/types.ts'
export type { Duration } from './config/duration.ts'
export type { Factory, FactoryContext, GetOrSetOptions } from './config/get-or-set-options.ts'
export type { LimiterOptions } from './config/limiter-options.ts'
export type { LockOptions, TryLockOptions } from './config/lock-options.ts'
export type {
  AttachOptions,
  CallOptions,
  CloseOptions,
  ConnectOptions,
  ConnectTlsOptions,
  CounterOptions,
  GetOptions,
  NamespaceOptions,
  OpenOptions,
  ReadStreamOptions,
  ScanOptions,
  SetOptions,
  WriteOptions,
  WriteStreamOptions,
} from './config/options.ts'
export type { Size } from './config/size.ts'
