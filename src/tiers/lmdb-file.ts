/** An LMDB file with three databases: opens it, runs short reads and synced transactions, and names what goes wrong. */
import { mkdirSync, statfsSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { type Database, open as openLmdb, type RootDatabase, type RootDatabaseOptionsWithPath } from 'lmdb'
import { RamcacheError } from '../base/errors.ts'
import { checkLmdbFile } from './lmdb-check.ts'

export type Bytes = Database<Buffer, Buffer>

export interface LmdbFileOptions {
  readonly isReader: boolean
  readonly verify: boolean
  readonly freeBytesMin: number
}

/** Virtual only; a map that never grows is never moved under a reader. */
const mapBytes = 2 ** 40
const databases = ['rows', 'tombstones', 'meta']
const databasesMax = databases.length + 1
const readersMax = 126
const binary = { keyEncoding: 'binary', encoding: 'binary' } as const
/** transactionSync: one that commits before it returns, without a parent. */
const commitAtOnce = 2

export class LmdbFile {
  readonly path: string
  readonly rows: Bytes
  readonly tombstones: Bytes
  readonly meta: Bytes
  readonly #root: RootDatabase<Buffer, Buffer>
  readonly #options: LmdbFileOptions
  #isClosed = false
  /** Set by a failed write: what LMDB did with its pages is then unknown until the file is opened again. */
  #failure: unknown
  /** The last write; each one waits for the one before. */
  #queue: Promise<unknown> = Promise.resolve()

  constructor(path: string, options: LmdbFileOptions) {
    this.path = path
    this.#options = options
    let root: RootDatabase<Buffer, Buffer> | undefined
    try {
      if (!options.isReader) mkdirSync(dirname(path), { recursive: true })
      checkLmdbFile(path, options.verify)
      const settings: RootDatabaseOptionsWithPath & { noReadAhead: boolean } = {
        ...binary,
        path,
        // A cold get would otherwise read megabytes. The types of lmdb-js do not know it.
        noReadAhead: true,
        compression: false,
        // A commit is then synced before it returns, its pages first and the page that names them after. lmdb-js would
        // otherwise resolve at the commit and sync later, as `flushed`.
        overlappingSync: false,
        mapSize: mapBytes,
        maxDbs: databasesMax,
        maxReaders: readersMax,
        readOnly: options.isReader,
      }
      root = openLmdb<Buffer, Buffer>(settings)
      this.#root = root
      if (!options.isReader) this.#refuseForeign()
      this.rows = this.#root.openDB<Buffer, Buffer>('rows', binary)
      this.tombstones = this.#root.openDB<Buffer, Buffer>('tombstones', binary)
      this.meta = this.#root.openDB<Buffer, Buffer>('meta', binary)
    } catch (error) {
      void root?.close()
      throw lmdbError(error, path, 'be opened')
    }
  }

  /** Before anything is made in it. */
  #refuseForeign(): void {
    const found = [...this.#root.getKeys({ limit: databasesMax })]
    // lmdb-js ends a name with a zero byte.
    const names = found.map((name) => Buffer.from(name).toString('latin1').replace(/\0$/, ''))
    if (names.every((name) => databases.includes(name))) return
    throw new RamcacheError(
      'ERR_RAMCACHE_CORRUPT',
      `${this.path} is an LMDB file, but not the index of a value log`,
    )
  }

  /** Runs `look` on the newest commit. What it gets from LMDB holds until it returns. */
  read<T>(look: () => T): T {
    this.#checkOpen()
    return this.look(look)
  }

  /** The same from inside a write, which may still run while the file is being closed. */
  look<T>(look: () => T): T {
    try {
      this.#root.resetReadTxn()
      return look()
    } catch (error) {
      throw lmdbError(error, this.path, 'be read')
    } finally {
      // Pages that a reader may still look at cannot be used again.
      this.#root.resetReadTxn()
    }
  }

  /** Runs `work` in one transaction, synced when this returns. `bytesMax` is the most it may write. */
  transact(bytesMax: number, work: () => void): void {
    if (this.#failure !== undefined) throw this.#failure
    this.#checkRoom(bytesMax)
    try {
      // The callback must return nothing: lmdb-js would take a promise for the end of the transaction.
      this.#root.transactionSync(() => {
        work()
      }, commitAtOnce)
    } catch (error) {
      const isFull = (error as { code?: unknown }).code === ioErrorCode && this.#freeBytes() < bytesMax
      this.#failure = isFull ? this.#noRoom(bytesMax, error) : lmdbError(error, this.path, 'be written')
      throw this.#failure
    }
  }

  /** Bytes of the pages that hold something. */
  usedBytes(): number {
    return this.look(() => {
      let bytes = 0
      for (const database of [this.rows, this.tombstones, this.meta]) {
        const { pageSize, treeBranchPageCount, treeLeafPageCount, overflowPages } =
          database.getStats() as PageStats
        bytes += (treeBranchPageCount + treeLeafPageCount + overflowPages) * pageSize
      }
      return bytes
    })
  }

  /** A compacted copy of the newest commit, beside writes; not synced. */
  async copyTo(path: string): Promise<void> {
    this.#checkOpen()
    try {
      await this.#root.backup(path, true)
    } catch (error) {
      throw lmdbError(error, this.path, 'be copied')
    }
  }

  /** Runs `write` after the writes before it. */
  async enqueue<T>(write: () => Promise<T>): Promise<T> {
    this.#checkOpen()
    const result = this.#queue.then(() => {
      if (this.#failure !== undefined) throw this.#failure
      return write()
    })
    this.#queue = result.catch(() => {})
    return result
  }

  /** After the writes that were begun. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#queue
    await this.#root.close()
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new RamcacheError('ERR_RAMCACHE_CLOSED', `the index ${this.path} is closed`)
  }

  /** Free pages included. */
  fileBytes(): number {
    return statSync(this.path).size
  }

  /** Whether a commit that may write so much would be taken. */
  hasRoom(bytes: number): boolean {
    return this.#freeBytes() >= this.#options.freeBytesMin + bytes
  }

  /** Asked before the write: a file system that fills up inside a commit has been seen to crash LMDB. */
  #checkRoom(bytes: number): void {
    if (!this.hasRoom(bytes)) throw this.#noRoom(this.#options.freeBytesMin + bytes)
  }

  #freeBytes(): number {
    const { bavail, bsize } = statfsSync(dirname(this.path))
    return bavail * bsize
  }

  #noRoom(needed: number, cause?: unknown): RamcacheError {
    return new RamcacheError(
      'ERR_RAMCACHE_FULL',
      `the file system of ${this.path} has ${this.#freeBytes()} bytes left, a commit may need ${needed}`,
      cause,
    )
  }
}

/** What LMDB says of a database; lmdb-js does not say what it gives. */
interface PageStats {
  readonly pageSize: number
  readonly treeBranchPageCount: number
  readonly treeLeafPageCount: number
  readonly overflowPages: number
}

/** EIO: what LMDB makes of a write that the disk took half of, because it is full. */
const ioErrorCode = 5
/** Codes of LMDB and of the system, as far as they mean something of their own. */
const corruptCodes = new Set([-30797, -30796, -30794, -30793, -30780, -30784])
const fullCodes = new Set([-30792, 28, 122])

/** Any error of LMDB as one of ours; `what` could not be done. */
function lmdbError(error: unknown, path: string, what: string): unknown {
  if (error instanceof RamcacheError || !(error instanceof Error)) return error
  const { code } = error as Error & { code?: unknown }
  // Our own bugs and bad keys are not the file's fault.
  if (typeof code !== 'number' && error.name === 'AssertionError') return error
  const because = `the index ${path} could not ${what}: ${error.message}`
  if (corruptCodes.has(code as number)) {
    return new RamcacheError('ERR_RAMCACHE_CORRUPT', `${because}; rebuild it from the log`, error)
  }
  if (fullCodes.has(code as number)) return new RamcacheError('ERR_RAMCACHE_FULL', because, error)
  if (what === 'be written') return new RamcacheError('ERR_RAMCACHE_POISONED', because, error)
  return new RamcacheError('ERR_RAMCACHE_UNAVAILABLE', because, error)
}
