/** The stores that the functions of WinCache are tested over: one of this process, one it has joined, one it is a client of. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, vi } from 'vitest'
import { closeSync, openSync, type WincacheOptions, wincache_ucache_clear } from '../../src/wincache.ts'
import { Served } from '../clients/support.ts'

export interface WincachePlacement {
  /** What leads another process, or another `openSync`, to the same store. */
  readonly options: WincacheOptions
  end(): Promise<void>
}

async function embedded(more: WincacheOptions): Promise<WincachePlacement> {
  const dir = mkdtempSync(join(tmpdir(), 'ramcache-'))
  const end = async () => rmSync(dir, { recursive: true, force: true })
  return { options: { dir, memory: '8mb', ...more }, end }
}

async function served(optionsOf: (daemon: Served) => WincacheOptions): Promise<WincachePlacement> {
  const daemon = await Served.start()
  return { options: optionsOf(daemon), end: () => daemon.end() }
}

const placements: Readonly<Record<string, () => Promise<WincachePlacement>>> = {
  'embedded, in memory': () => embedded({ tiers: { ssd: false } }),
  'embedded, with a disk': () => embedded({ memory: '1mb' }),
  'joined to a daemon': () => served(({ folder }) => ({ dir: join(folder, 'store') })),
  'a client of a daemon': () => served(({ socket }) => ({ socket })),
}

/** The same tests over every placement; `reopen` gives them other options, which the next call takes back. */
export function overPlacements(tests: (reopen: (more?: WincacheOptions) => void) => void): void {
  describe.each(Object.keys(placements))('%s', (name) => {
    let placement: WincachePlacement
    beforeAll(async () => {
      placement = await (placements[name] as () => Promise<WincachePlacement>)()
    })
    afterAll(async () => {
      closeSync()
      await placement.end()
    })
    tests((more = {}) => openSync({ ...placement.options, ...more }))
  })
}

/** An empty user cache, and the warnings since. */
export function fresh(reopen: (more?: WincacheOptions) => void, more?: WincacheOptions): string[] {
  reopen(more)
  wincache_ucache_clear()
  const warnings: string[] = []
  vi.spyOn(process, 'emitWarning').mockImplementation((text) => {
    warnings.push(String(text))
  })
  return warnings
}
