/**
 * Placements of one store that is opened once for many tests: a store with tiers takes longer to open than most tests to run.
 * Each test has a cache of its own over it, empty; what asks for options, or for a store nobody has used, gets one of its own.
 */
import { checkStore, engineOf } from '../../src/cache/internal.ts'
import type { Cache, OpenOptions } from '../../src/index.ts'
import type { Space } from '../../src/native/engine.ts'
import type { Placement } from './stores.ts'

type Open = (options?: Partial<OpenOptions>) => Promise<Placement>

/** Another cache of this process over a store that it has open. */
type Join = (dir: string) => Promise<Cache>

export class SharedStore {
  readonly #open: Open
  readonly #join: Join
  #shared: Placement | undefined

  constructor(open: Open, join: Join) {
    this.#open = open
    this.#join = join
  }

  /** `openPlacement` of a contract. */
  readonly openPlacement = async (options?: Partial<OpenOptions>): Promise<Placement> => {
    if (options !== undefined) return this.#open(options)
    this.#shared ??= await this.#open()
    await clearAll(this.#shared)
    return this.#place(this.#shared)
  }

  async #place(shared: Placement): Promise<Placement> {
    const cache = await this.#join(shared.dir)
    return {
      ...shared,
      cache,
      reopen: async () => {
        await cache.close()
        this.#shared = await shared.reopen()
        return this.#place(this.#shared)
      },
      end: async () => {
        checkStore(shared.cache)
        await cache.close()
      },
    }
  }

  async end(): Promise<void> {
    await this.#shared?.end()
  }
}

/** Also what a test has left in namespaces of its own. */
async function clearAll({ cache }: Placement): Promise<void> {
  const engine = engineOf(cache)
  for (const name of Object.keys((await cache.stats()).namespaces)) (engine.space(name) as Space).clear()
}
