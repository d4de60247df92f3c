/** Ways behind the public face, for tests and measuring tools. Not exported by the package. */
import { assert } from '../base/assert.ts'
import type { RemoteStore } from '../client/remote-store.ts'
import type { ServerTcp } from '../config/open-options.ts'
import { binding, type NativeHandle, translate } from '../native/binding.ts'
import type { Engine, Key, ReadEngine } from '../native/engine.ts'
import type { TierScans } from '../owner/scans.ts'
import type { Blobs, OwnedBlobs } from './blobs.ts'
import { decide } from './decide.ts'
import type { ReadonlyCache } from './types.ts'

/** Where a store lies; `ssdDir` when it has a tier there. */
export interface Home {
  readonly dir: string
  readonly ssdDir: string | undefined
  readonly scans: TierScans
}

const homes = new WeakMap<ReadonlyCache, Home>()
const engines = new WeakMap<ReadonlyCache, ReadEngine>()
const blobs = new WeakMap<ReadonlyCache, Blobs>()

/** @internal Remembers what a cache was made of; returns the cache. */
export function registerEngine<C extends ReadonlyCache>(
  cache: C,
  engine: ReadEngine,
  itsBlobs: Blobs,
  home?: Home,
): C {
  if (home !== undefined) homes.set(cache, home)
  engines.set(cache, engine)
  blobs.set(cache, itsBlobs)
  return cache
}

/** @internal Of a cache that `open` returned; `undefined` for every other. */
export function homeOf(cache: ReadonlyCache): Home | undefined {
  return homes.get(cache)
}

/** @internal Where a cache keeps its blobs. */
export function blobsOf(cache: ReadonlyCache): Blobs {
  return blobs.get(cache) as Blobs
}

/** @internal What the background does from time to time: see `OwnedBlobs.sweep`. */
export function sweepBlobs(cache: ReadonlyCache): Promise<number> {
  return (blobs.get(cache) as OwnedBlobs).sweep()
}

/** @internal Pins an entry of a namespace, in whatever tier it is, or lets it go. False when there is none. */
export function pinKey(
  cache: ReadonlyCache,
  namespace: string,
  key: Key,
  isPinned: boolean,
): Promise<boolean> {
  const space = (engineOf(cache) as Engine).space(namespace)
  return decide(space, key, () => space.pin(key, isPinned))
}

/** @internal The store under a cache that `open` or `attach` returned. */
export function engineOf(cache: ReadonlyCache): ReadEngine {
  const engine = engines.get(cache)
  assert(engine !== undefined, 'only what open() and attach() return has an engine of its own')
  return engine
}

/** @internal Moves the clock of a store that was opened with `clock: 'manual'`. */
export function advanceClock(cache: ReadonlyCache, ms: number): void {
  const engine = engineOf(cache) as ReadEngine & { advance?(ms: number): void }
  assert(engine.advance !== undefined, 'this store has no manual clock')
  engine.advance(ms)
}

/** @internal New budget of a store that this process owns. */
export function resizeStore(cache: ReadonlyCache, memoryBytes: number): void {
  ;(engineOf(cache) as Engine).resize(memoryBytes)
}

/** @internal Where a store that this process owns listens. */
export function socketOf(cache: ReadonlyCache): string | undefined {
  const { native } = engineOf(cache) as ReadEngine & { readonly native: NativeHandle }
  return binding().serverPath(native) ?? undefined
}

/** @internal Where such a store listens over TCP, as `HOST:PORT`. */
export function tcpAddressOf(cache: ReadonlyCache): string | undefined {
  const { native } = engineOf(cache) as ReadEngine & { readonly native: NativeHandle }
  return binding().serverTcpAddress(native) ?? undefined
}

/** @internal Takes another password and certificate into use; whoever is connected stays so. Throws CONFIG. */
export function changeCredentials(cache: ReadonlyCache, tcp: ServerTcp): void {
  const { native } = engineOf(cache) as ReadEngine & { readonly native: NativeHandle }
  try {
    binding().setServerCredentials(native, { ...tcp })
  } catch (error) {
    translate(error)
  }
}

/** @internal One command to the owner of a store that this process is a client of; resolves to its answer. */
export function askOwner(cache: ReadonlyCache, command: string): Promise<unknown> {
  return (engineOf(cache) as RemoteStore).hot.request(command, [], true)
}

/** @internal Walks the whole store of an owner and throws when anything in it disagrees. */
export function checkStore(cache: ReadonlyCache): void {
  ;(engineOf(cache) as Engine).check()
}
