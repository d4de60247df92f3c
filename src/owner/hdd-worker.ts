/**
 * The thread of the HDD tier: answers reads that the SSD tier could not, keeps what the drain of the log sends down.
 * LevelDB can be opened once only, so reads and writes share the thread; a write runs beside it, and reads go on.
 */
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { binding } from '../native/binding.ts'
import { HddTier } from '../tiers/hdd.ts'
import { isHashedKey, storedKey } from '../tiers/index-row.ts'
import { namespaceBytes } from '../tiers/keys.ts'
import type { TierDrop, TierEntry } from '../tiers/tier.ts'
import { HddCopies } from './hdd-copy.ts'
import { HddHand } from './hdd-hand.ts'
import type { HddReply, HddRequest, SaveRecords, ShownEntry, ShownPage, ShowPage } from './hdd-messages.ts'
import type { TierThreadData } from './messages.ts'
import { checkHddPage } from './verify-hdd.ts'

/** Questions answered between two looks at other work of the thread. */
const questionsAtOnce = 16
/** Bytes of records read from the log for one write. */
const saveBytes = 4 * 1024 * 1024
const scanEntries = 256
const keyEntries = 1000
const typeBlob = 11
/** How long the sweep rests after a page, so that it takes a small part of the disk's time. */
const sweepRestMs = 20

const data = workerData as TierThreadData
const port = parentPort as NonNullable<typeof parentPort>
const handle = binding().joinStore(data.dir)
const tier = new HddTier(join(data.hddDir as string, 'level'))

interface Failure {
  readonly code?: string
  readonly message: string
}

/** Questions wait until the tier is open; when it cannot be opened, they get the reason. */
const opened: Promise<Failure | undefined> = tier.open().then(
  () => report(0),
  (error: Failure) => {
    process.emitWarning(error.message, { type: 'RamcacheWarning', ...(error.code && { code: error.code }) })
    return error
  },
)

async function report(demoted: number): Promise<undefined> {
  const { entries, bytes } = await tier.stats()
  binding().reportTier(handle, 2, entries, bytes, demoted)
}

const hand = new HddHand(tier, {
  isExpendable: (record) => binding().isExpendable(handle, record),
  dropped: async (entries) => {
    binding().countEvicted(handle, 2, entries)
    await report(0)
  },
})

const copies = new HddCopies(tier)

let isAnswering = false
let isClosed = false

async function answerQuestions(): Promise<void> {
  if (isAnswering) return
  isAnswering = true
  const failure = await opened
  while (!isClosed) {
    const packed = binding().takePassed(handle, questionsAtOnce)
    if (packed.length === 0) break
    const ids: number[] = []
    const keys: Buffer[] = []
    for (let at = 0; at < packed.length; ) {
      const keyBytes = packed.readUInt16LE(at + 8)
      ids.push(Number(packed.readBigUInt64LE(at)))
      keys.push(storedKey(packed.subarray(at + 10, at + 10 + keyBytes)))
      at += 10 + keyBytes
    }
    if (failure === undefined) answer(ids, keys)
    else binding().failMisses(handle, ids, failure.message, isDamage(failure))
    await turn()
  }
  isAnswering = false
}

function answer(ids: readonly number[], keys: readonly Buffer[]): void {
  for (const [number, key] of keys.entries()) {
    const id = ids[number] as number
    try {
      binding().answerPassed(handle, id, tier.loadNow(key)?.record ?? null)
    } catch (error) {
      binding().failMisses(handle, [id], (error as Failure).message, isDamage(error as Failure))
    }
  }
}

function isDamage({ code }: Failure): boolean {
  return code === 'ERR_RAMCACHE_CORRUPT'
}

async function save({ file, places, keys }: SaveRecords): Promise<void> {
  const from = Buffer.from(places.buffer, places.byteOffset, places.byteLength)
  const packedKeys = Buffer.from(keys.buffer, keys.byteOffset, keys.byteLength)
  let keyAt = 0
  for (let at = 0; at < from.length; ) {
    let end = at
    for (let bytes = 0; end < from.length && bytes < saveBytes; end += 8) bytes += from.readUInt32LE(end + 4)
    const entries = binding()
      .readRecords(handle, file, from.subarray(at, end))
      .map((record): TierEntry => {
        const keyBytes = packedKeys.readUInt16LE(keyAt)
        const key = packedKeys.subarray(keyAt + 2, keyAt + 2 + keyBytes)
        keyAt += 2 + keyBytes
        return { key: storedKey(key), ...record }
      })
    await tier.save(entries)
    await report(entries.length)
    at = end
  }
}

/** A page of a scan: what lives under the keys that the tier has. */
async function show({ prefix, from }: ShowPage): Promise<ShownPage> {
  const start = Buffer.from(prefix)
  const { found, next } = await tier.scanRecords(start, from && Buffer.from(from), scanEntries)
  const entries = found.map(({ key, record }): ShownEntry => {
    const shownKey = isHashedKey(key) ? key.subarray(0, namespaceBytes) : key
    return { stored: key, scanned: binding().describeRecord(handle, shownKey, record, typeBlob) }
  })
  return { entries, next }
}

async function eachPage(see: (page: Awaited<ReturnType<HddTier['scan']>>) => Promise<void>): Promise<void> {
  for (let from: Buffer | undefined; ; ) {
    const page = await tier.scan(Buffer.alloc(0), from, keyEntries)
    await see(page)
    if (page.next === undefined) return
    from = page.next
  }
}

function addKeys(): Promise<void> {
  return eachPage(async ({ entries }) => {
    const parts: Buffer[] = []
    for (const { key } of entries) {
      if (isHashedKey(key)) {
        const found = tier.loadNow(key)
        if (found !== undefined) binding().addStoredToFilter(handle, found.record)
        continue
      }
      const length = Buffer.alloc(2)
      length.writeUInt16LE(key.length)
      parts.push(length, key)
    }
    binding().addToFilter(handle, Buffer.concat(parts))
  })
}

async function sweep(): Promise<void> {
  for (let from: Buffer | undefined; ; ) {
    const { found, next } = await tier.scanRecords(Buffer.alloc(0), from, scanEntries)
    const dead: TierDrop[] = found.filter(({ key, version, expiresAt, record }) => {
      return binding().isDeadBelow(handle, key.readUInt16BE(0), version, expiresAt, record)
    })
    if (dead.length > 0) {
      await tier.drop(dead)
      await report(0)
    }
    await new Promise((resolve) => setTimeout(resolve, sweepRestMs))
    if (next === undefined) return
    from = next
  }
}

async function perform(request: HddRequest): Promise<Omit<HddReply, 'id'>> {
  const failure = await opened
  if (request.kind === 'close') {
    isClosed = true
    await copies.close()
    await tier.close()
    return {}
  }
  if (failure !== undefined) throw failure
  switch (request.kind) {
    case 'save':
      await save(request)
      return {}
    case 'drop':
      await tier.drop(request.drops.map(({ key, version }) => ({ key: Buffer.from(key), version })))
      await report(0)
      return {}
    case 'show':
      return { page: await show(request) }
    case 'count':
      return tier.stats()
    case 'evict':
      return { entries: await hand.evict(request.givesBack) }
    case 'addKeys':
      await addKeys()
      return {}
    case 'copy':
      return copies.copyPage(request.target, request.from && Buffer.from(request.from))
    case 'endCopy':
      await copies.end(request.target)
      return {}
    case 'check':
      return { checked: await checkHddPage(tier, request.names, request.from && Buffer.from(request.from)) }
    case 'sweep':
      await sweep()
      return {}
  }
}

port.on('message', (request: HddRequest) => {
  const done = (reply: Omit<HddReply, 'id'>) => {
    port.postMessage({ ...reply, id: request.id })
    if (request.kind !== 'close') return
    binding().closeStore(handle, false)
    port.close()
  }
  perform(request).then(done, (error: unknown) => {
    const { code = 'ERR_RAMCACHE_UNAVAILABLE', message } = error as Failure
    done({ failure: { code, message } })
  })
})
binding().listenBelow(handle, () => void answerQuestions())
// Those that were asked before anybody listened.
void answerQuestions()
