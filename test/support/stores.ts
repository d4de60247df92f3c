/** Stores in folders of their own, with a clock that stands still, walked and checked before they are thrown away. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { advanceClock, checkStore, engineOf } from '../../src/cache/internal.ts'
import type { Cache, OpenOptions } from '../../src/index.ts'
import { open } from '../../src/index.ts'
import type { ReadSpace, Space } from '../../src/native/engine.ts'

export interface Placement {
  readonly cache: Cache
  readonly dir: string
  /** Moves the time of the store on. */
  advance(ms: number): void | Promise<void>
  /** Closes the cache and opens the same store again. */
  reopen(): Promise<Placement>
  /** Pushes everything that is not pinned out of RAM, where there is a tier below it. */
  chill(): Promise<void>
  /** Pushes everything of the default namespace down to the HDD tier, in a store of `openThreeTiers`. */
  freeze(): Promise<void>
  /** Checks the store if it is open, closes it and removes what it left. */
  end(): Promise<void>
}

export async function openEmbedded(options: Partial<OpenOptions> = {}): Promise<Placement> {
  const dir = mkdtempSync(join(tmpdir(), 'ramcache-'))
  return place(dir, options)
}

/** With an SSD tier, and as little memory as the largest values of the contract need. */
export async function openTiered(options: Partial<OpenOptions> = {}): Promise<Placement> {
  return openEmbedded({ tiers: {}, memory: '1mb', ...options })
}

/** With an HDD tier as well, and an SSD tier that is always full: the files of its log go down as soon as they can. */
export async function openThreeTiers(options: Partial<OpenOptions> = {}): Promise<Placement> {
  const dir = mkdtempSync(join(tmpdir(), 'ramcache-'))
  const hdd = { path: join(dir, 'hdd') }
  const __internal = { ...internal.__internal, fileBytes: 64 * 1024, ssdBudgetBytes: 0 }
  return place(dir, { memory: '1mb', tiers: { hdd }, ...options, ...{ __internal } })
}

async function place(dir: string, options: Partial<OpenOptions>): Promise<Placement> {
  const cache = await open({ memory: '8mb', tiers: { ssd: false }, ...internal, ...options, dir })
  return {
    cache,
    dir,
    advance: (ms) => advanceClock(cache, ms),
    reopen: async () => {
      await cache.close()
      return place(dir, options)
    },
    chill: () => chill(cache),
    freeze: () => freeze(cache),
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

/** Fills RAM with something else until nothing of the default namespace is left in it. */
async function chill(cache: Cache): Promise<void> {
  const space = engineOf(cache).space('default')
  const filler = engineOf(cache).space('filler') as Space
  const value = Buffer.alloc(2000)
  for (let number = 0; hasEntries(space); number++) filler.set(`filler ${number % 5000}`, value)
}

/** Goes on chilling until a scan meets nothing of the default namespace above the HDD tier. */
async function freeze(cache: Cache): Promise<void> {
  for (;;) {
    await chill(cache)
    const above: string[] = []
    for await (const { key, tier } of cache.scan()) if (tier !== 'hdd') above.push(key)
    if (above.length === 0) return
    // Files of the log go down one after the other, once the next one is begun.
    const filler = engineOf(cache).space('filler') as Space
    for (let number = 0; number < 100; number++) filler.set(`frost ${number}`, Buffer.alloc(2000))
    await cache.flush()
  }
}

function hasEntries(space: ReadSpace): boolean {
  let page = space.scan(undefined, '')
  while (page.entries.length === 0 && page.cursor !== undefined) page = space.scan(page.cursor, '')
  return page.entries.length > 0
}

// What a test has left below stays there after a restart.
const internal = { __internal: { clock: 'manual', warms: false } }

async function isOpen(cache: Cache): Promise<boolean> {
  return cache.flush().then(
    () => true,
    () => false,
  )
}
