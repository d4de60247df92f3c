/**
 * Reader of cache traces `NAME.rct.gz`: a gzip of
 *
 *      0   8 bytes   "RCTRACE1"
 *      8   u32 LE    flags: 1 = size column, 2 = time column, 4 = op column
 *     12   u32 LE    size of every object when there is no size column
 *     16   u64 LE    requests
 *     24   u64 LE    unique keys
 *     32   u32 LE [requests] key; then, when flagged: u32 LE [] size, u32 LE [] time, u8 [] op
 *
 * Keys are dense in order of first appearance. One key has one size for the whole trace: that of its last request.
 * Time and op are read past: every request counts alike. A file is refused whole when anything in it does not fit.
 */

import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { constants, gunzipSync } from 'node:zlib'

export interface Trace {
  readonly name: string
  /** One dense id per request. */
  readonly keys: Uint32Array
  readonly uniqueCount: number
  /** Size of the object of each id. */
  readonly sizes: Uint32Array
  /** Size of every object when all are alike, else undefined. */
  readonly uniformSize: number | undefined
  /** Sum of the sizes of all unique keys: a cache this large misses each key once. */
  readonly footprintBytes: number
}

/** The bytes are not a trace. The message names the file and the reason. */
export class TraceError extends Error {
  override readonly name = 'TraceError'
}

export const TRACE_SUFFIX = '.rct.gz'
const MAGIC = 'RCTRACE1'
const HEADER_BYTES = 32
const FLAG_SIZE = 1
const FLAG_TIME = 2
const FLAG_OP = 4
/** 64 Mi requests: an expanded trace stays below 1 GiB, what a laptop can hold twice. */
const REQUESTS_MAX = 1 << 26
/** No deflate stream grows by more than 1032 to 1, so a header that claims more lies. */
const EXPANSION_MAX = 1032
/** Enough compressed bytes to hold the first block of the stream, whatever its code tables. */
const HEADER_PEEK_BYTES = 4096

/** @throws TraceError when the bytes are no trace; the error of the file system when there are none. */
export async function readTrace(path: string): Promise<Trace> {
  return parseTrace(await readFile(path), path)
}

/** `source` is what errors call the bytes; its base name without suffix is the name of the trace. */
export function parseTrace(compressed: Uint8Array, source: string): Trace {
  const refuse = (reason: string): never => {
    throw new TraceError(`${source}: not a usable trace: ${reason}`)
  }
  const header = readHeader(compressed, refuse)
  const { requests, uniqueCount, flags, bytesExpected } = header
  const body = inflate(compressed, constants.Z_FINISH, bytesExpected, refuse)
  if (body.byteLength !== bytesExpected) {
    refuse(`${bytesExpected} bytes expected after expansion, ${body.byteLength} found`)
  }
  // A copy of its own, because the buffer of zlib need not be aligned for 32-bit columns.
  const bytes = new Uint8Array(body).buffer
  const keys = new Uint32Array(bytes, HEADER_BYTES, requests)
  checkKeys(keys, uniqueCount, refuse)
  const sizeColumn =
    (flags & FLAG_SIZE) === 0 ? undefined : new Uint32Array(bytes, HEADER_BYTES + 4 * requests, requests)
  const sizes = sizePerKey(keys, uniqueCount, sizeColumn, header.uniformSize)
  if (sizes.includes(0)) refuse('an object of size 0')
  const name = basename(source).replace(TRACE_SUFFIX, '')
  return makeTrace(name, keys, sizes, sizeColumn === undefined ? header.uniformSize : undefined)
}

/** The first requests of a trace, as a trace of its own with its own footprint. */
export function limitTrace(trace: Trace, requestsMax: number): Trace {
  if (trace.keys.length <= requestsMax) return trace
  const keys = trace.keys.subarray(0, requestsMax)
  // Ids are dense in order of first appearance: the largest seen tells how many there are.
  const uniqueCount = keys.reduce((most, id) => Math.max(most, id + 1), 0)
  return makeTrace(trace.name, keys, trace.sizes.subarray(0, uniqueCount), trace.uniformSize)
}

/** The same requests with every object of one size, which turns capacities into counts of objects. */
export function withUniformSize(trace: Trace, size: number): Trace {
  return makeTrace(trace.name, trace.keys, new Uint32Array(trace.uniqueCount).fill(size), size)
}

/** Index of the next request of the same key, per request; the number of requests when there is none. */
export function nextUses(trace: Trace): Uint32Array {
  const { keys } = trace
  const next = new Uint32Array(keys.length)
  const seen = new Uint32Array(trace.uniqueCount).fill(keys.length)
  for (let i = keys.length - 1; i >= 0; i--) {
    const id = keys[i] as number
    next[i] = seen[id] as number
    seen[id] = i
  }
  return next
}

export function makeTrace(
  name: string,
  keys: Uint32Array,
  sizes: Uint32Array,
  uniformSize: number | undefined,
): Trace {
  const footprintBytes = sizes.reduce((sum, size) => sum + size, 0)
  return { name, keys, uniqueCount: sizes.length, sizes, uniformSize, footprintBytes }
}

type Refuse = (reason: string) => never

interface Header {
  readonly flags: number
  readonly uniformSize: number
  readonly requests: number
  readonly uniqueCount: number
  readonly bytesExpected: number
}

function readHeader(compressed: Uint8Array, refuse: Refuse): Header {
  // Only the start of the stream: the length it announces bounds the expansion of the rest.
  const peek = compressed.subarray(0, HEADER_PEEK_BYTES)
  const start = inflate(peek, constants.Z_SYNC_FLUSH, HEADER_PEEK_BYTES * EXPANSION_MAX, refuse)
  if (start.byteLength < HEADER_BYTES)
    return refuse(`a header has ${HEADER_BYTES} bytes, found ${start.byteLength}`)
  if (start.toString('latin1', 0, MAGIC.length) !== MAGIC) return refuse(`it does not begin with ${MAGIC}`)
  const flags = start.readUInt32LE(8)
  if ((flags & ~(FLAG_SIZE | FLAG_TIME | FLAG_OP)) !== 0)
    return refuse(`unknown flags 0x${flags.toString(16)}`)
  const requests = start.readBigUInt64LE(16)
  const uniqueCount = start.readBigUInt64LE(24)
  if (requests === 0n) return refuse('it has no requests')
  if (requests > REQUESTS_MAX) return refuse(`${requests} requests, the limit is ${REQUESTS_MAX}`)
  if (uniqueCount === 0n || uniqueCount > requests) {
    return refuse(`${uniqueCount} unique keys in ${requests} requests`)
  }
  const width = (flag: number, bytes: number) => ((flags & flag) === 0 ? 0 : bytes)
  const requestBytes = 4 + width(FLAG_SIZE, 4) + width(FLAG_TIME, 4) + width(FLAG_OP, 1)
  const bytesExpected = HEADER_BYTES + requestBytes * Number(requests)
  if (bytesExpected > compressed.byteLength * EXPANSION_MAX) {
    return refuse(`${compressed.byteLength} compressed bytes cannot hold ${requests} requests`)
  }
  return {
    flags,
    uniformSize: start.readUInt32LE(12),
    requests: Number(requests),
    uniqueCount: Number(uniqueCount),
    bytesExpected,
  }
}

/** `Z_SYNC_FLUSH` takes a stream that is cut short, `Z_FINISH` wants its end and its checksum. */
function inflate(compressed: Uint8Array, finishFlush: number, bytesMax: number, refuse: Refuse): Buffer {
  try {
    return gunzipSync(compressed, { maxOutputLength: bytesMax, finishFlush })
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    return refuse(
      code === 'ERR_BUFFER_TOO_LARGE' ? `it expands beyond ${bytesMax} bytes` : `gzip: ${message}`,
    )
  }
}

function checkKeys(keys: Uint32Array, uniqueCount: number, refuse: Refuse): void {
  let seen = 0
  for (let i = 0; i < keys.length; i++) {
    const id = keys[i] as number
    if (id > seen) refuse(`key ${id} at request ${i}: keys must be dense in order of first appearance`)
    if (id === seen) seen += 1
  }
  if (seen !== uniqueCount) refuse(`the header says ${uniqueCount} unique keys, there are ${seen}`)
}

function sizePerKey(
  keys: Uint32Array,
  uniqueCount: number,
  sizeColumn: Uint32Array | undefined,
  uniformSize: number,
): Uint32Array {
  const sizes = new Uint32Array(uniqueCount).fill(uniformSize)
  if (sizeColumn === undefined) return sizes
  for (let i = 0; i < keys.length; i++) sizes[keys[i] as number] = sizeColumn[i] as number
  return sizes
}
