/** What the cases of the tier suite share. */
import assert from 'node:assert/strict'
import { RamcacheError } from '../base/errors.ts'
import type { Tier, TierEntry, TierInfo } from './tier.ts'

/** What a case works with. */
export interface TierContext {
  /** Open. */
  readonly tier: Tier
  /** Closes the tier and opens the same storage again, as another `tier`. */
  reopen(): Promise<void>
}

export interface TierCaseBody {
  readonly name: string
  readonly run: (context: TierContext) => Promise<void>
}

export function keyOf(text: string, namespace = 1): Buffer {
  const key = Buffer.alloc(2 + Buffer.byteLength(text))
  key.writeUInt16BE(namespace)
  key.write(text, 2)
  return key
}

export function entryOf(
  text: string,
  version: bigint,
  record = `${text}@${version}`,
  expiresAt = 0,
): TierEntry {
  return { key: keyOf(text), record: Buffer.from(record), version, expiresAt }
}

/** Pages until the end, each no longer than asked. */
export async function scanAll(tier: Tier, prefix: Buffer, limit = 1000): Promise<TierInfo[]> {
  const found: TierInfo[] = []
  let from: Buffer | undefined
  do {
    const page = await tier.scan(prefix, from, limit)
    assert.ok(page.entries.length <= limit, 'a page is no longer than asked')
    found.push(...page.entries)
    from = page.next
  } while (from !== undefined)
  return found
}

export async function textOf(tier: Tier, ...names: string[]): Promise<(string | undefined)[]> {
  return (await tier.load(names.map((name) => keyOf(name)))).map((found) => found?.record.toString())
}

export async function rejects(code: string, run: () => Promise<unknown>): Promise<void> {
  await assert.rejects(run, (error) => {
    assert.ok(error instanceof RamcacheError || (error as { name?: string }).name === 'RamcacheError')
    assert.equal((error as RamcacheError).code, code)
    return true
  })
}

/** The prefix of every key. */
export const everything = Buffer.alloc(0)
