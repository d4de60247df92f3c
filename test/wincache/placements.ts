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

type Reopen = (more?: WincacheOptions) => void

/**
 * The same tests over every placement. `reopen` opens it in this process, with other options if there are any; `optionsOf`
 * says how another one comes to the same store.
 */
export function overPlacements(
  tests: (reopen: Reopen, optionsOf: () => WincacheOptions) => void,
  names: readonly string[] = Object.keys(placements),
): void {
  describe.each(names)('%s', (name) => {
    let placement: WincachePlacement
    beforeAll(async () => {
      placement = await (placements[name] as () => Promise<WincachePlacement>)()
    })
    afterAll(async () => {
      closeSync()
      await placement.end()
    })
    tests(
      (more = {}) => openSync({ ...placement.options, ...more }),
      () => placement.options,
    )
  })
}

/** An empty user cache, and the warnings since. */
export function fresh(reopen: Reopen, more?: WincacheOptions): string[] {
  reopen(more)
  wincache_ucache_clear()
  const warnings: string[] = []
  vi.spyOn(process, 'emitWarning').mockImplementation((text) => {
    warnings.push(String(text))
  })
  return warnings
}
