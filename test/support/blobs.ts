/** Looks behind the streams: what lies in the store's own namespace, and bytes that show where they came from. */

import { engineOf } from '../../src/cache/internal.ts'
import type { Cache } from '../../src/index.ts'
import type { Space } from '../../src/native/engine.ts'
import { blobsNamespace } from '../../src/native/engine.ts'

export function blobSpace(cache: Cache): Space {
  return engineOf(cache).space(blobsNamespace) as Space
}

/** Keys of everything but the two entries that are always there once there was a blob. */
export function blobKeys(cache: Cache): string[] {
  const space = blobSpace(cache)
  const keys: string[] = []
  let cursor: Parameters<Space['scan']>[0]
  do {
    const page = space.scan(cursor, '')
    keys.push(...page.entries.map(({ key }) => key))
    cursor = page.cursor
  } while (cursor !== undefined)
  return keys.filter((key) => key !== 'root' && key !== 'sweep').sort()
}

/** Ids that the list of all blobs has and whose record is there, in whatever tier. */
export async function idsBelow(cache: Cache): Promise<string[]> {
  const space = blobSpace(cache)
  const pages = blobKeys(cache).filter((key) => key.startsWith('page/'))
  const text = pages.map((key) => (space.peek(key) as { value: Buffer }).value.toString('hex')).join('')
  const ids = [...new Set(text.match(/.{32}/g) ?? [])]
  const found = await Promise.all(ids.map((id) => space.look(id)))
  return ids.filter((_, index) => found[index] !== undefined)
}

/** Different at every place, so that nothing misplaced goes unnoticed. */
export function patternOf(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length)
  let state = seed
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    bytes[at] = state >>> 24
  }
  return bytes
}
