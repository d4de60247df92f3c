/** One namespace of a store that another process owns: reads as `SharedRead` has them, and writes over the socket. */
import { RamcacheError } from '../base/errors.ts'
import type { Encoded } from '../codec/value.ts'
import type { Durability, EntryInfo, Key, Leased, WriteOptions } from '../native/engine.ts'
import { listOf, numberOf, optionWords, textOf } from './commands.ts'
import type { Argument } from './outbox.ts'
import type { Reply } from './replies.ts'
import { isClosed, type RemoteSource, SharedRead } from './shared-read.ts'

/** Entries of a page of a scan. */
const scanPageEntries = 1024

export interface RemotePage {
  readonly entries: readonly (EntryInfo & { readonly isBlob?: true })[]
  /** Where the next one begins; undefined when there is none. */
  readonly cursor: Buffer | undefined
}

export class RemoteSpace extends SharedRead {
  /** `undefined` when a condition did not hold. Throws what cannot be stored. */
  set(key: Key, value: unknown, options?: WriteOptions): Promise<{ version: string } | undefined> {
    const { type, bytes } = this.#encode(value)
    const args: Argument[] = [this.name, key, type, bytes]
    if (options !== undefined) args.push(...optionWords(options))
    return this.source.hot.request('RC.SET', args, false, versionOf)
  }

  /** All or nothing, seen at once. */
  async setMany(entries: readonly (readonly [Key, unknown])[], options?: WriteOptions): Promise<void> {
    const args: Argument[] = [entries.length]
    for (const [key, value] of entries) {
      const { type, bytes } = this.#encode(value)
      // The codec uses its memory again for the next value.
      args.push(key, type, Uint8Array.from(bytes))
    }
    await this.#write('RC.MSET', [...args, ...optionWords(options)])
  }

  /** Whether a live entry was removed; with `ifVersion`, only that version of it. */
  async delete(key: Key, ifVersion?: string): Promise<boolean> {
    const condition = ifVersion === undefined ? [] : ['IFVERSION', ifVersion]
    return numberOf(await this.#write('RC.DEL', [key, ...condition]), 'RC.DEL') === 1
  }

  /** How many were removed. */
  async deleteMany(keys: readonly Key[]): Promise<number> {
    return numberOf(await this.#write('RC.MDEL', keys), 'RC.MDEL')
  }

  /** A new time to live from now; without one, what the owner says of the namespace. */
  async touch(key: Key, ttlMs: number | undefined): Promise<boolean> {
    const ttl = ttlMs === undefined ? [] : [ttlMs]
    return numberOf(await this.#write('RC.TOUCH', [key, ...ttl]), 'RC.TOUCH') === 1
  }

  async incr(key: Key, by: number, init?: number, ttlMs?: number, durability?: Durability): Promise<number> {
    const words: Argument[] = init === undefined ? [] : ['INIT', init]
    if (ttlMs !== undefined) words.push('TTL', ttlMs)
    if (durability !== undefined) words.push('DURABILITY', durability)
    return numberOf(await this.#write('RC.INCR', [key, by, ...words]), 'RC.INCR')
  }

  /** As of `Space`. It ends with the connection. */
  async lease(key: Key, leaseMs: number, refreshes: boolean): Promise<Leased> {
    const args = [this.name, key, leaseMs, ...(refreshes ? ['REFRESH'] : [])]
    const reply = await this.#now('RC.GETORLEASE').cold.request('RC.GETORLEASE', args, false)
    const [state, token, stale] = listOf(reply, 'RC.GETORLEASE')
    return {
      state: textOf(state, 'RC.GETORLEASE') as Leased['state'],
      token: token === null ? undefined : textOf(token, 'RC.GETORLEASE'),
      stale: await this.entryOf(key, stale ?? null),
    }
  }

  /** Whether it was stored. */
  async fill(key: Key, value: unknown, options: WriteOptions): Promise<boolean> {
    const { type, bytes } = this.#encode(value)
    const args: Argument[] = [this.name, key, type, bytes, ...optionWords(options)]
    return (await this.#now('RC.SET').hot.request('RC.SET', args, false)) !== null
  }

  async abandon(key: Key, token: string, pauseMs: number): Promise<void> {
    const pause = pauseMs === 0 ? [] : ['PAUSE', pauseMs]
    await this.#now('RC.ABANDON').cold.request('RC.ABANDON', [this.name, key, token, ...pause], false)
  }

  async clear(isSync: boolean): Promise<void> {
    await this.#write('RC.CLEAR', isSync ? ['SYNC'] : [])
  }

  async invalidateTags(tags: readonly string[]): Promise<void> {
    await this.#write('RC.INVALIDATE', tags)
  }

  /** A page of all tiers, or of one, of keys that start with `prefix`. */
  async page(prefix: string, tier: string, from: Buffer | undefined): Promise<RemotePage> {
    const args = [this.name, prefix, tier, scanPageEntries, from ?? '']
    const [next, rows] = listOf(await this.source.cold.request('RC.SCAN', args, true), 'RC.SCAN')
    const cursor = next as Buffer
    return {
      entries: listOf(rows, 'RC.SCAN').map(scannedOf),
      cursor: cursor.length === 0 ? undefined : Buffer.from(cursor),
    }
  }

  /** For commands that wait for no owner: without one, whoever asks goes on alone. */
  #now(command: string): RemoteSource {
    if (this.source.hot.reach()) return this.source
    const message = `${command} was not carried out: no owner of the store is to be reached`
    throw new RamcacheError('ERR_RAMCACHE_UNAVAILABLE', message)
  }

  #write(command: string, args: readonly Argument[]): Promise<Reply> {
    return this.source.hot.request(command, [this.name, ...args], false)
  }

  #encode(value: unknown): Encoded {
    try {
      return this.shared.encode(value)
    } catch (error) {
      if (!isClosed(error)) throw error
      return this.shared.encodeSelfContained(value)
    }
  }
}

function versionOf(reply: Reply, command: string): { version: string } | undefined {
  return reply === null ? undefined : { version: textOf(reply, command) }
}

function scannedOf(row: Reply): RemotePage['entries'][number] {
  const [key, size, version, createdAt, expiresAt, tags, tier, isBlob] = listOf(row, 'RC.SCAN')
  const number = (field: Reply | undefined) => numberOf(field, 'RC.SCAN')
  const text = (field: Reply | undefined) => textOf(field, 'RC.SCAN')
  return {
    key: text(key),
    size: number(size),
    version: text(version),
    createdAt: number(createdAt),
    expiresAt: number(expiresAt) === 0 ? undefined : number(expiresAt),
    tags: listOf(tags, 'RC.SCAN').map(text),
    tier: text(tier) as EntryInfo['tier'],
    ...(isBlob === 1 ? { isBlob: true as const } : {}),
  }
}
