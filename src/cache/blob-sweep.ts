/**
 * The sweep: goes through the ids of all blobs and deletes what no manifest, writer or reader needs.
 *
 * With tiers below RAM it asks them for what RAM does not have, and only takes what they say is not there: what cannot
 * be read now stays. As such a look may be a read of the disk, a sweep looks at a part of a long list, the next one at
 * the next part.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { RamcacheError } from '../base/errors.ts'
import { type BlobRecord, decodeRecord, encodeRecord, Manifest } from '../codec/blob.ts'
import type { Engine, Entry, Space } from '../native/engine.ts'
import type { BlobIds } from './blob-ids.ts'
import type { Leases } from './blob-leases.ts'
import { decide } from './decide.ts'

/**
 * Between two sweeps. What has lost its manifest goes in the second sweep that sees it: readers of other processes,
 * which cannot take a lease, have that long to finish.
 */
export const sweepEveryMs = 15_000
/** Pages of 64 ids that a sweep looks at when that may take disk reads: some 2,000 of them in 15 s, at most. */
const pagesPerSweep = 16

/** What the sweep works on. */
export interface Swept {
  readonly engine: Engine
  /** The namespace of chunks and records. */
  readonly own: Space
  readonly ids: BlobIds
  readonly leases: Leases
  /** Deletes chunks and record of an id. */
  forget(id: string, chunkCount: number): Promise<void>
}

/** The number of blobs that went. */
export async function sweepIds(swept: Swept): Promise<number> {
  const pagesMax = swept.own.reachesBelow ? pagesPerSweep : Number.POSITIVE_INFINITY
  return swept.ids.drain((id) => keeps(swept, id), pagesMax)
}

/** Whether an id stays; one that does not is deleted here. */
async function keeps(swept: Swept, id: string): Promise<boolean> {
  const { own, leases } = swept
  await nextTurn()
  const found = await lookFor(own, id)
  if (found === unreadable) return true
  // A lease without a record is of a writer whose record was evicted; it will write it again.
  if (found === undefined) return leases.stands(id)
  const record = readable(() => decodeRecord(found.value as Buffer))
  if (record === undefined) {
    // Nobody knows what it led to. Those chunks are read by nobody and leave as all that is cold.
    await decide(own, id, () => own.delete(id, found.version))
    return false
  }
  if ((await isPublished(swept.engine, id, record)) || leases.stands(id)) return true
  if (!record.isSuspected) {
    const suspected = encodeRecord({ ...record, isSuspected: true })
    await decide(own, id, () => own.set(id, suspected, { ifVersion: found.version }))
    return true
  }
  await swept.forget(id, record.chunkCount)
  return false
}

/** True as well when nobody can say. */
async function isPublished(engine: Engine, id: string, { namespace, key }: BlobRecord): Promise<boolean> {
  const space = engine.space(namespace)
  const text = Buffer.from(key)
  const found = await lookFor(space, text)
  if (found === unreadable) return readable(() => space.peek(text) ?? true) !== undefined
  return found?.value instanceof Manifest && found.value.id === id
}

const unreadable = Symbol('unreadable')

/** What could not be read is not gone. */
async function lookFor(space: Space, key: string | Buffer): Promise<Entry | undefined | typeof unreadable> {
  try {
    return await space.look(key)
  } catch (error) {
    if (error instanceof RamcacheError && error.code !== 'ERR_RAMCACHE_CLOSED') return unreadable
    throw error
  }
}

/** Undefined for what is damaged. */
function readable<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof RamcacheError && error.code === 'ERR_RAMCACHE_CORRUPT') return undefined
    throw error
  }
}
