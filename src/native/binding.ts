/**
 * Finds and loads the native part, or says what to run. Nothing else in the package knows where it lies.
 *
 * Order: `RAMCACHE_NATIVE` (a path), the local build, the package of this platform. Only "not found" leads on to the
 * next place; any other failure is reported as it is.
 */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { RamcacheError } from '../base/errors.ts'
import { cold } from './engine.ts'
import type { LockBinding } from './lock-binding.ts'
import type { NativeSpace } from './native-space.ts'

export type { NativeSpace }

/** A store or an attachment, opaque. */
export interface NativeHandle {
  readonly __handle: unique symbol
}

export interface NativeOpenOptions {
  dir: string
  memoryBytes: number
  countsPayload: boolean
  background: boolean
  /** `startBelow` follows, with this directory. */
  tiersDir?: string
  manualClock: boolean
  sharedMemoryDir?: string
}

export interface NativeBelowOptions {
  dir: string
  file: number
  offset: number
  /** Namespace, high half, low half, ... */
  epochs: number[]
  /** For each epoch of a tag `u16 key bytes, u64 clock, key`. */
  tags: Buffer
  syncIntervalMs: number
  fileBytes: number
  reserveBytes: number
  hasLower: boolean
}

/** A record as the HDD tier keeps it. */
export interface NativeStored {
  /** With its namespace in front. */
  readonly key: Buffer
  readonly version: bigint
  readonly expiresAt: number
}

export interface NativeRecovery {
  /** Volatile records in files before this one are of arenas that are gone. */
  firstFile: number
  changes: number
  bytes: number
  /** Of the log, 16 hexadecimal digits. */
  storeId: string
  pinned: { namespace: number; key: Buffer }[]
  damage: string[]
}

export interface NativeCheckpoint {
  /** For `takeEntries`. */
  entries: object
  count: number
  file: number
  offset: number
  damage: string[]
}

/** Files of the log; `native/node/src/drain.rs`. */
export interface NativeLogState {
  /** Number and bytes of each, the oldest first. */
  files: number[]
  /** Since the start, without copies, and copies alone. */
  bytesWritten: number
  bytesCopied: number
  freeBytes: number
  /** There is a namespace whose entries may be dropped when the last tier is full. */
  mayDrop: boolean
}

/** `native/node/src/server.rs`. */
export interface NativeTcpOptions {
  host: string
  port: number
  password?: Uint8Array
  tls?: { cert: Uint8Array; key: Uint8Array; ca?: Uint8Array }
}

export interface NativeServerOptions {
  path: string
  tcp?: NativeTcpOptions
  dir: string
  version: string
  isDaemon: boolean
  threads: number
  spinUs: number
  namespaces: { name: string; ttlMs?: number; durability?: string }[]
  limits?: Record<string, number>
}

/** An entry as a scan over all tiers shows it. */
export interface NativeScanned {
  key: Uint8Array
  version: string
  createdAt: number
  expiresAt: number
  size: number
  tags: Uint8Array
  tier: 'ram' | 'ssd' | 'hdd'
  /** The value, when it is of the type that was asked for. */
  value?: Uint8Array
}

/** A directory that nobody else can open meanwhile. */
export interface NativeLock {
  readonly __lock: unique symbol
}

/** A log that is read by somebody who does not write it. */
export interface NativeLog {
  readonly __log: unique symbol
}

export interface NativeLogPart {
  /** Packed as checkpoints are; without changes whose value is gone. */
  entries: Buffer
  batches: number
  changes: number
  bytes: number
  damage: string[]
  isTorn: boolean
  nextFile: number
  nextOffset: number
  isEnd: boolean
}

/** Memory of the arena; only the counters may be written. */
export interface ArenaBuffers {
  data: ArrayBuffer
  chunks: ArrayBuffer
  counters: ArrayBuffer
}

export interface NativeModule extends LockBinding<NativeHandle> {
  lockDirectory(dir: string): NativeLock
  unlockDirectory(lock: NativeLock): void
  openLog(dir: string): NativeLog
  logFiles(log: NativeLog): { files: number[]; strangers: number[] }
  readLog(
    log: NativeLog,
    file: number,
    offset: number,
    toFile: number,
    toOffset: number,
    bytesMax: number,
  ): NativeLogPart
  readStored(bytes: Uint8Array): NativeStored | null
  readLogRecords(log: NativeLog, places: Uint8Array): { entries: Buffer; problems: string[] }
  layoutVersion(): number
  openStore(options: NativeOpenOptions): NativeHandle
  isOwned(dir: string): boolean
  attachStore(data: string, touch: string): NativeHandle
  openSpace(handle: NativeHandle, name: string, scratch: ArrayBuffer): NativeSpace | null
  closeStore(handle: NativeHandle, forAll: boolean): void
  checkStore(handle: NativeHandle): void
  resizeStore(handle: NativeHandle, memoryBytes: number): void
  advanceClock(handle: NativeHandle, ms: number): number
  readFeed(handle: NativeHandle, from: number, bytesMax: number): { next: number; bytes: Buffer } | null
  countStore(handle: NativeHandle): string
  registerAsker(handle: NativeHandle, bell: () => void): number
  unregisterAsker(handle: NativeHandle, asker: number): void
  /** `native/node/src/answers.rs`. */
  collectAnswers(handle: NativeHandle, asker: number, into: Uint8Array): number
  answerMisses(handle: NativeHandle, rows: Uint8Array): void
  failMisses(handle: NativeHandle, ids: number[], message: string, isDamage: boolean): void
  listenBelow(handle: NativeHandle, bell: () => void): void
  takePassed(handle: NativeHandle, most: number): Buffer
  failBelow(handle: NativeHandle, message: string): void
  /** Counts the calling thread among those that answer questions, until it ends. */
  serveMisses(handle: NativeHandle): void
  answerPassed(handle: NativeHandle, id: number, record: Buffer | null): void
  addStoredToFilter(handle: NativeHandle, record: Uint8Array): void
  describeRecord(
    handle: NativeHandle,
    key: Uint8Array,
    record: Uint8Array,
    withValue: number,
  ): NativeScanned | null
  readRecords(
    handle: NativeHandle,
    file: number,
    places: Uint8Array,
  ): { record: Buffer; version: bigint; expiresAt: number }[]
  reportTier(handle: NativeHandle, tier: 1 | 2, entries: number, bytes: number, demoted: number): void
  isDeadBelow(
    handle: NativeHandle,
    namespace: number,
    version: bigint,
    expiresAt: number,
    record: Uint8Array,
  ): boolean
  joinStore(dir: string): NativeHandle
  startBelow(handle: NativeHandle, options: NativeBelowOptions): NativeRecovery
  stopBelow(handle: NativeHandle): void
  beginFilter(handle: NativeHandle, keys: number): number
  addToFilter(handle: NativeHandle, keys: Uint8Array): void
  addRecordToFilter(handle: NativeHandle, file: number, offset: number, bytes: number): void
  endFilter(handle: NativeHandle, rebuild: number, isComplete: boolean): boolean
  isFilterCrowded(handle: NativeHandle): boolean
  /** Fills `into`; where things are in it, in words of `data`. */
  viewArena(
    handle: NativeHandle,
    into: ArenaBuffers,
  ): {
    namespacesWord: number
    bucketCountWord: number
    clockWord: number
    manualClockWord: number
    chunksWord: number
  }
  dropView(buffer: ArrayBuffer): void
  leaveStore(handle: NativeHandle): number
  hasTiers(handle: NativeHandle): boolean
  namespaceId(handle: NativeHandle, name: string): number
  beginCheckpoint(handle: NativeHandle, isForced: boolean): NativeCheckpoint | null
  /** Bytes that the next entries take in `into`; 0 at the end. */
  takeEntries(entries: object, into: Uint8Array): number
  saveHot(handle: NativeHandle): number
  beginWarming(handle: NativeHandle): number
  warm(handle: NativeHandle): number
  isWarming(handle: NativeHandle): boolean
  sampleReads(handle: NativeHandle, seen: Uint32Array, isFirst: boolean): Buffer
  endCheckpoint(handle: NativeHandle, isCommitted: boolean): void
  awaitAllLogged(handle: NativeHandle): void
  describeRows(handle: NativeHandle, rows: Uint8Array, withValue: number): NativeScanned[]
  awaitLog(handle: NativeHandle, asker: number, what: number): number
  logState(handle: NativeHandle): NativeLogState
  readLogFile(
    handle: NativeHandle,
    file: number,
    offset: number,
    bytesMax: number,
  ): { entries: Buffer; next: number }
  appendCopies(
    handle: NativeHandle,
    file: number,
    places: Uint8Array,
    isOldest: boolean,
    demotes: boolean,
    evicts: number,
  ): Buffer
  setPins(handle: NativeHandle, namespace: string, pins: boolean): void
  setQuota(handle: NativeHandle, namespace: string, bytes: number): void
  recallKey(handle: NativeHandle, namespace: number, key: Uint8Array): boolean
  setMayDrop(handle: NativeHandle, namespace: string, mayDrop: boolean): void
  isExpendable(handle: NativeHandle, record: Uint8Array): boolean
  setMakingRoom(handle: NativeHandle, isMakingRoom: boolean, waitBelow: number): void
  countEvicted(handle: NativeHandle, tier: 1 | 2, entries: number): void
  isMakingRoom(handle: NativeHandle): boolean
  syncCopies(handle: NativeHandle): void
  removeLogFile(handle: NativeHandle, file: number): boolean
  giveUpReserve(handle: NativeHandle): boolean
  /** False when the store has a server already. */
  startServer(handle: NativeHandle, options: NativeServerOptions): boolean
  stopServer(handle: NativeHandle, graceMs: number, done: () => void): void
  serverPath(handle: NativeHandle): string | null
  /** `HOST:PORT`. */
  serverTcpAddress(handle: NativeHandle): string | null
  setServerCredentials(handle: NativeHandle, tcp: NativeTcpOptions): void
  /** Unless the store has a server. */
  letNobodyJoin(handle: NativeHandle): void
  listenRequests(handle: NativeHandle, bell: (() => void) | null): void
  takeRequests(handle: NativeHandle, bytesMax: number): Buffer
  answerRequest(handle: NativeHandle, request: number, reply: Uint8Array): void
  /** Answers all requests that wait, taken or not, with an error. */
  failRequests(handle: NativeHandle): void
  serverTotals(handle: NativeHandle): Record<string, number>
  /** Bytes that the questions take in `into`; negative when the store is closed. */
  takeMisses(handle: NativeHandle, most: number, patienceMs: number, into: Uint8Array): number
  /** To the socket at a path, `@` beginning an abstract one. */
  sendDatagram(path: string, text: string): void
  costNapiNothing(): void
  costNapiString(text: string): number
  costRaw(): {
    nothing(): void
    utf8Key(key: string): number
    utf16Key(key: string): number
    latin1Key(key: string): number
    stringOut(): string
    bufferOut(): Buffer
  }
}

/** Layout of the arena this code expects of the native part. */
const LAYOUT_VERSION = 4

const require = createRequire(import.meta.url)

function candidates(): string[] {
  const root = fileURLToPath(new URL('../..', import.meta.url))
  const places = [join(root, 'build', 'Release', 'ramcache.node')]
  const override = process.env.RAMCACHE_NATIVE
  if (override) places.unshift(override)
  return [...places, `ramcache-${process.platform}-${process.arch}`]
}

function load(): NativeModule {
  const tried: string[] = []
  for (const place of candidates()) {
    if (place.endsWith('.node') && !existsSync(place)) {
      tried.push(`${place}: not there`)
      continue
    }
    try {
      const native = require(place) as NativeModule
      if (native.layoutVersion() !== LAYOUT_VERSION) {
        throw new Error(`it is of arena layout ${native.layoutVersion()}, wanted is ${LAYOUT_VERSION}`)
      }
      return native
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') {
        tried.push(`${place}: not installed`)
        continue
      }
      const message = `cannot load the native part from ${place}: ${(error as Error).message}`
      throw new RamcacheError('ERR_RAMCACHE_UNAVAILABLE', message, error)
    }
  }
  const message = [
    'the native part of ramcache is missing. Run: npm rebuild ramcache (needs Rust; see README).',
    'With npm 11 allow its install script first: npm approve-scripts ramcache. Tried:',
    ...tried.map((line) => `  ${line}`),
  ].join('\n')
  throw new RamcacheError('ERR_RAMCACHE_UNAVAILABLE', message)
}

let loaded: NativeModule | undefined

/** The native part, loaded at the first call. Throws ERR_RAMCACHE_UNAVAILABLE. */
export function binding(): NativeModule {
  loaded ??= load()
  return loaded
}

/** Runs native code; what it throws with one of our codes becomes a `RamcacheError`. */
export function translate(error: unknown): never {
  const code = (error as { code?: unknown }).code
  if (code === 'ERR_RAMCACHE_COLD') throw cold
  if (error instanceof Error && typeof code === 'string' && code.startsWith('ERR_RAMCACHE_')) {
    throw new RamcacheError(code as RamcacheError['code'], error.message)
  }
  throw error
}
