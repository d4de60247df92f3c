/** The store of this package as a subject of the simulator: one process, one thread, no background. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openEngine } from '../native/open.ts'
import type { OpenSubject } from '../simulator/subject.ts'

/** Values are the first bytes of this: what they are does not matter, only that they are really stored. */
const filler = Buffer.alloc(1 << 20, 'ramcache ')

/** Least memory a store can be opened with. */
const MEMORY_BYTES_MIN = 512 << 10

export const openStoreSubject: OpenSubject = async ({ capacityBytes, counting }) => {
  if (capacityBytes < MEMORY_BYTES_MIN) return undefined
  const dir = mkdtempSync(join(tmpdir(), 'ramcache-replay-'))
  const engine = openEngine({
    dir,
    memoryBytes: capacityBytes,
    namespaces: {},
    nearEntries: 0,
    internal: { counting, background: false },
  })
  const space = engine.space('default')
  return {
    name: 'ramcache',
    request(key, size) {
      if (space.get(key) !== undefined) return true
      space.set(key, filler.subarray(0, Math.max(1, size - key.length)))
      return false
    },
    entries: () => engine.counters().entries,
    overheadBytesPerEntry() {
      const { entries, overheadBytes } = engine.counters()
      return entries === 0 ? 0 : overheadBytes / entries
    },
    async close() {
      engine.close()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}
