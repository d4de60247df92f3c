/** Stores in folders of their own, with a clock that stands still, walked and checked before they are thrown away. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { advanceClock, checkStore } from '../../src/cache/internal.ts'
import type { Cache, OpenOptions } from '../../src/index.ts'
import { open } from '../../src/index.ts'

export interface Placement {
  readonly cache: Cache
  /** Moves the time of the store on. */
  advance(ms: number): void
  /** Closes the cache and opens the same store again. */
  reopen(): Promise<Placement>
  /** Checks the store if it is open, closes it and removes what it left. */
  end(): Promise<void>
}

export async function openEmbedded(options: Partial<OpenOptions> = {}): Promise<Placement> {
  const dir = mkdtempSync(join(tmpdir(), 'ramcache-'))
  return place(dir, options)
}

async function place(dir: string, options: Partial<OpenOptions>): Promise<Placement> {
  const cache = await open({ memory: '8mb', tiers: { ssd: false }, ...options, dir, ...internal })
  return {
    cache,
    advance: (ms) => advanceClock(cache, ms),
    reopen: async () => {
      await cache.close()
      return place(dir, options)
    },
    end: async () => {
      try {
        if (await isOpen(cache)) checkStore(cache)
      } finally {
        await cache.close()
        rmSync(dir, { recursive: true, force: true })
      }
    },
  }
}

const internal = { __internal: { clock: 'manual' } }

async function isOpen(cache: Cache): Promise<boolean> {
  return cache.flush().then(
    () => true,
    () => false,
  )
}
