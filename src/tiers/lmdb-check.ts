/**
 * Looks at an LMDB file before LMDB does. LMDB trusts its file: it has no checksums, follows any page number and reads
 * what is past the end of the file with a SIGBUS. What the log's index cannot afford to meet there is refused here, with
 * an error after which it is rebuilt from the log.
 *
 * Always: both meta pages and the length. With `verify` every page that is reachable, which reads the whole file: order,
 * bounds, page numbers and kinds; and that no page that is free is used, as the next transaction writes there. Bytes of
 * rows have checks of their own.
 */
import { closeSync, existsSync, fstatSync, ftruncateSync, openSync, readSync } from 'node:fs'
import { RamcacheError } from '../base/errors.ts'

const lmdbMagic = 0xbeef_c0de
/** Low half of the version word; lmdb-js 3 keeps flags in the other. */
const lmdbVersion = 2
const metaBytes = 168
const pageHeadBytes = 24
/** More than one transaction can leave unwritten at the end of a file. */
const missingBytesMax = 64 * 1024 * 1024
const noPage = 0xffff_ffff_ffff_ffffn

const isBranch = 1
const isLeaf = 2
const isOverflow = 4
const isMeta = 8
/** A leaf's node whose value lies in overflow pages; one that holds a database. */
const nodeIsBig = 1
const nodeIsDatabase = 2

interface Meta {
  readonly pageBytes: number
  readonly lastPage: number
  readonly txnId: bigint
  readonly freeRoot: bigint
  readonly freeDepth: number
  readonly mainRoot: bigint
  readonly mainDepth: number
}

export function checkLmdbFile(path: string, verify: boolean): void {
  if (!existsSync(path)) return
  const file = openSync(path, 'r+')
  try {
    const length = fstatSync(file).size
    // LMDB begins anew in an empty file: position 0:0, so the log is read from its start.
    if (length === 0) return
    const meta = readMetas(file, path, length)
    const lengthMin = (meta.lastPage + 1) * meta.pageBytes
    if (length < lengthMin) {
      // The last pages may never have been written, if they were free again before the commit. Read as zeros they are
      // refused by LMDB; past the end of the file they would be a SIGBUS.
      if (lengthMin - length > missingBytesMax) throw damaged(path, `it has ${length} bytes of ${lengthMin}`)
      ftruncateSync(file, lengthMin)
    }
    if (verify) new Walk(file, path, meta).run()
  } finally {
    closeSync(file)
  }
}

function readMetas(file: number, path: string, length: number): Meta {
  const first = readMeta(file, path, 0, length)
  const second = readMeta(file, path, first.pageBytes, length)
  if (second.pageBytes !== first.pageBytes) throw damaged(path, 'its meta pages have different page sizes')
  const difference = first.txnId - second.txnId
  // Transactions write the two in turn. Only a file without any has the same number in both.
  const isInTurn = difference === 1n || difference === -1n || (difference === 0n && first.txnId === 0n)
  // A compacted copy: its first page is that of an empty file, its second one has kept its number.
  const isCopy = first.txnId === 0n && first.mainRoot === noPage && first.freeRoot === noPage
  if (isCopy && (second.txnId & 1n) === 1n) return second
  if (!isInTurn || (first.txnId & 1n) !== 0n) throw damaged(path, 'its meta pages do not follow each other')
  return first.txnId > second.txnId ? first : second
}

function readMeta(file: number, path: string, at: number, length: number): Meta {
  const page = Buffer.alloc(metaBytes)
  if (at + metaBytes > length || readSync(file, page, 0, metaBytes, at) !== metaBytes) {
    throw damaged(path, `it ends inside a meta page, at ${length} bytes`)
  }
  const isSound = page.readUInt16LE(18) === isMeta && page.readUInt32LE(24) === lmdbMagic
  if (!isSound) throw damaged(path, 'it is not an LMDB file, or a meta page is damaged')
  const version = page.readUInt32LE(28) & 0xffff
  if (version !== lmdbVersion) throw damaged(path, `its LMDB version is ${version}, not ${lmdbVersion}`)
  const pageBytes = page.readUInt32LE(48)
  const isPageSize = pageBytes >= 512 && pageBytes <= 65_536 && (pageBytes & (pageBytes - 1)) === 0
  if (!isPageSize) throw damaged(path, `its page size is ${pageBytes}`)
  const lastPage = page.readBigUInt64LE(144)
  const mainRoot = page.readBigUInt64LE(136)
  const freeRoot = page.readBigUInt64LE(88)
  const areRoots = [mainRoot, freeRoot].every((root) => root === noPage || (root > 1n && root <= lastPage))
  if (lastPage < 1n || lastPage > 2n ** 40n || !areRoots)
    throw damaged(path, 'a meta page names pages that cannot be')
  return {
    pageBytes,
    lastPage: Number(lastPage),
    txnId: page.readBigUInt64LE(152),
    freeRoot,
    freeDepth: page.readUInt16LE(54),
    mainRoot,
    mainDepth: page.readUInt16LE(102),
  }
}

/** Every page that can be reached from the two trees of a meta page, or is free, each once. */
class Walk {
  readonly #file: number
  readonly #path: string
  readonly #meta: Meta
  readonly #seen: Uint8Array

  constructor(file: number, path: string, meta: Meta) {
    this.#file = file
    this.#path = path
    this.#meta = meta
    this.#seen = new Uint8Array(meta.lastPage + 1)
  }

  run(): void {
    const { freeRoot, freeDepth, mainRoot, mainDepth } = this.#meta
    // Keys of the free list are numbers in the machine's byte order.
    this.#tree(freeRoot, freeDepth, false)
    this.#tree(mainRoot, mainDepth, true)
  }

  #tree(root: bigint, depth: number, hasByteKeys: boolean): void {
    if (root === noPage) {
      if (depth !== 0) throw this.#bad(0, 'has a depth without a root')
      return
    }
    if (depth < 1 || depth > 32) throw this.#bad(Number(root), `is the root of a tree of depth ${depth}`)
    this.#page(root, depth, hasByteKeys, undefined, undefined)
  }

  /** Keys of the page are in order, at or after `low` and before `high`. */
  #page(
    number: bigint,
    depth: number,
    hasByteKeys: boolean,
    low: Buffer | undefined,
    high: Buffer | undefined,
  ): void {
    const page = this.#take(number, 1)
    const at = Number(number)
    const flags = page.readUInt16LE(18)
    if (flags !== (depth === 1 ? isLeaf : isBranch))
      throw this.#bad(at, `has flags ${flags} at depth ${depth}`)
    const lower = page.readUInt16LE(20)
    const upper = page.readUInt16LE(22)
    // Both are counted from the end of the head.
    const nodesEnd = lower + pageHeadBytes
    if (lower % 2 !== 0 || lower > upper || upper + pageHeadBytes > page.length)
      throw this.#bad(at, 'has bad bounds')
    const count = lower / 2
    if (count < (depth === 1 ? 1 : 2)) throw this.#bad(at, `has ${count} nodes`)
    let previous = low
    const children: { readonly page: bigint; readonly low: Buffer | undefined }[] = []
    for (let index = 0; index < count; index++) {
      const node = page.readUInt16LE(pageHeadBytes + index * 2) + pageHeadBytes
      if (node < nodesEnd || node + 8 > page.length) throw this.#bad(at, 'has a node outside of it')
      const keyEnd = node + 8 + page.readUInt16LE(node + 6)
      if (keyEnd > page.length) throw this.#bad(at, 'has a key outside of it')
      const key = page.subarray(node + 8, keyEnd)
      // The first key of a branch is not used.
      const isCompared = depth === 1 || index > 0
      if (isCompared && hasByteKeys) {
        const isOrdered = previous === undefined || Buffer.compare(previous, key) <= (index === 0 ? 0 : -1)
        if (!isOrdered || (high !== undefined && Buffer.compare(key, high) >= 0))
          throw this.#bad(at, 'has keys out of order')
        previous = key
      }
      const words = page.readUInt32LE(node)
      if (depth === 1) this.#value(page, at, node, keyEnd, words, hasByteKeys)
      else
        children.push({
          page: BigInt(words) + (BigInt(page.readUInt16LE(node + 4)) << 32n),
          low: isCompared ? key : low,
        })
    }
    for (const [index, child] of children.entries()) {
      this.#page(child.page, depth - 1, hasByteKeys, child.low, children[index + 1]?.low ?? high)
    }
  }

  #value(page: Buffer, at: number, node: number, keyEnd: number, bytes: number, hasByteKeys: boolean): void {
    const flags = page.readUInt16LE(node + 4)
    if (flags === nodeIsBig) {
      if (keyEnd + 24 > page.length) throw this.#bad(at, 'has a value outside of it')
      const count = Math.ceil((bytes + pageHeadBytes) / this.#meta.pageBytes)
      const number = page.readBigUInt64LE(keyEnd)
      const run = this.#take(number, count)
      if (run.readUInt16LE(18) !== isOverflow || run.readUInt32LE(20) !== count)
        throw this.#bad(at, 'leads to a damaged run')
      if (!hasByteKeys) this.#free(at, this.#readRun(number, bytes))
      return
    }
    if (keyEnd + bytes > page.length) throw this.#bad(at, 'has a value outside of it')
    if (!hasByteKeys) this.#free(at, page.subarray(keyEnd, keyEnd + bytes))
    else if (flags === nodeIsDatabase) {
      if (bytes !== 48) throw this.#bad(at, `has a database of ${bytes} bytes`)
      this.#tree(page.readBigUInt64LE(keyEnd + 40), page.readUInt16LE(keyEnd + 6), true)
    } else if (flags !== 0) throw this.#bad(at, `has a node with flags ${flags}`)
  }

  /**
   * A list of free pages, as lmdb-js keeps it: how many words follow, then in each the number of a page, 0, or the length
   * of a run below zero, before its first page.
   */
  #free(at: number, list: Buffer): void {
    const words = list.length / 8 - 1
    if (list.length % 8 !== 0 || words < 0 || list.readBigUInt64LE(0) > words) {
      throw this.#bad(at, 'has a free list of another length')
    }
    let run = 1
    for (let index = 1; index <= Number(list.readBigUInt64LE(0)); index++) {
      const word = list.readBigInt64LE(index * 8)
      if (word > 0n) this.#mark(word, run)
      run = word < 0n ? Number(-word) : 1
    }
  }

  #readRun(number: bigint, bytes: number): Buffer {
    const run = Buffer.allocUnsafe(bytes)
    const from = Number(number) * this.#meta.pageBytes + pageHeadBytes
    if (readSync(this.#file, run, 0, bytes, from) !== bytes) throw this.#bad(Number(number), 'cannot be read')
    return run
  }

  /** The first of `count` pages that belong to nothing else. */
  #take(number: bigint, count: number): Buffer {
    const at = this.#mark(number, count)
    const page = Buffer.allocUnsafe(this.#meta.pageBytes)
    const { pageBytes } = this.#meta
    if (readSync(this.#file, page, 0, pageBytes, at * pageBytes) !== pageBytes)
      throw this.#bad(at, 'cannot be read')
    if (page.readBigUInt64LE(0) !== number || page.readBigUInt64LE(8) > this.#meta.txnId)
      throw this.#bad(at, 'has a damaged head')
    return page
  }

  #mark(number: bigint, count: number): number {
    const at = Number(number)
    if (number < 2n || at + count - 1 > this.#meta.lastPage)
      throw this.#bad(at, 'does not exist, but is used or free')
    for (let index = at; index < at + count; index++) {
      if (this.#seen[index] !== 0) throw this.#bad(index, 'is used twice, or free and used')
      this.#seen[index] = 1
    }
    return at
  }

  #bad(page: number, what: string): RamcacheError {
    return damaged(this.#path, `page ${page} ${what}`)
  }
}

function damaged(path: string, what: string): RamcacheError {
  return new RamcacheError(
    'ERR_RAMCACHE_CORRUPT',
    `the index ${path} is damaged: ${what}; rebuild it from the log`,
  )
}
