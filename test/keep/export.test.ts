/** Export and import: what comes out of a store goes into another one, whole, in both forms. */

import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { describe, expect, it } from 'vitest'
import { engineOf } from '../../src/cache/internal.ts'
import type { Cache } from '../../src/index.ts'
import { type ExportFormat, exportEntries } from '../../src/keep/export.ts'
import { importEntries } from '../../src/keep/import.ts'
import type { Space } from '../../src/native/engine.ts'
import { patternOf } from '../support/blobs.ts'
import { testFolder } from '../support/folders.ts'
import { allOf, comparable, contentOf, openAt, valuesOfAllKinds } from './values.ts'

const formats: readonly ExportFormat[] = ['ndjson', 'binary']
const oddKey = Buffer.from([0xff, 0x00, 0xc3])
const longKey = 'k'.repeat(3000)

/** Something of everything: kinds, properties, namespaces, blobs. */
async function fill(cache: Cache): Promise<void> {
  for (const [key, value] of valuesOfAllKinds) await cache.set(key, value)
  await cache.set(oddKey, 'a key that is no text')
  await cache.set(longKey, { a: 'long key' })
  await cache.set('tagged', { name: 'x' }, { tags: ['a', 'ü', 'a "quoted" one'], ttl: '1h' })
  await cache.set('sliding', 1, { idle: '30s' })
  await cache.set('sliding to an end', 1, { idle: '30s', ttl: '1h' })
  await cache.set('late', 1, { ttl: '3000d' })
  await cache.set('gone', 1)
  await cache.delete('gone')
  const nested = cache.namespace('users').namespace('eu')
  for (let id = 0; id < 50; id++) await nested.set(`u${id}`, { id, name: `user ${id}` })
  await cache.namespace('cleared').set('x', 1)
  await cache.namespace('cleared').clear()
  await write(cache, 'blob', patternOf(300_000))
  await write(cache.namespace('users'), 'empty blob', Buffer.alloc(0))
}

async function write(cache: Cache, key: string, bytes: Buffer): Promise<void> {
  await pipeline(Readable.from([bytes]), cache.createWriteStream(key, { tags: ['stream'], ttl: '2h' }))
}

/** Pushes what is not pinned out of RAM. */
async function chill(cache: Cache): Promise<void> {
  const space = engineOf(cache).space('default') as Space
  const filler = cache.namespace('filler')
  const value = Buffer.alloc(2000)
  for (let number = 0; space.peek('string') !== undefined || space.peek('late') !== undefined; number++) {
    await filler.set(`filler ${number % 3000}`, value)
  }
  await filler.clear()
}

describe.each(formats)('%s', (format) => {
  it.each([
    ['in RAM only', { tiers: { ssd: false as const } }, false],
    ['in RAM and on SSD', {}, true],
  ])('carries every entry into another store, %s', async (_name, options, isCold) => {
    const source = await openAt(testFolder(), options)
    await fill(source)
    if (isCold) await chill(source)
    const before = comparable(await allOf(source))
    expect(before.size).toBeGreaterThan(valuesOfAllKinds.length + 50)
    const hits = engineOf(source).counters().hits
    const bytes = await contentOf(exportEntries(source, { format }))
    // Looked at without a trace.
    expect(engineOf(source).counters().hits).toBe(hits)
    const target = await openAt(testFolder(), options)
    const report = await importEntries(target, [bytes])
    expect(report).toEqual({ entries: before.size, blobs: 2, expired: 0, kept: 0 })
    const after = comparable(await allOf(target))
    expect(after).toEqual(before)
    await source.close()
    await target.close()
  })

  it('reads pieces of any length', async () => {
    const source = await openAt(testFolder(), { tiers: { ssd: false } })
    await fill(source)
    const bytes = await contentOf(exportEntries(source, { format }))
    const target = await openAt(testFolder(), { tiers: { ssd: false } })
    async function* pieces(): AsyncGenerator<Buffer> {
      for (let at = 0, length = 1; at < bytes.length; at += length, length = (length * 7) % 1001) {
        yield bytes.subarray(at, at + length)
      }
    }
    await importEntries(target, pieces())
    expect(comparable(await allOf(target))).toEqual(comparable(await allOf(source)))
    await source.close()
    await target.close()
  })

  it('exports the namespaces that are named, and no others', async () => {
    const source = await openAt(testFolder(), { tiers: { ssd: false } })
    await fill(source)
    const bytes = await contentOf(exportEntries(source, { format, namespaces: ['users/eu', 'cleared'] }))
    const target = await openAt(testFolder(), { tiers: { ssd: false } })
    expect((await importEntries(target, [bytes])).entries).toBe(50)
    expect(await target.namespace('users').namespace('eu').get('u7')).toEqual({ id: 7, name: 'user 7' })
    await source.close()
    await target.close()
  })

  it('keeps what is there, when told so, and skips what has expired', async () => {
    const source = await openAt(testFolder(), { tiers: { ssd: false } })
    await source.set('a', 'new')
    await source.set('b', 'new')
    await source.set('short', 1, { ttl: 50 })
    await write(source, 'blob', patternOf(40_000))
    await write(source, 'other blob', patternOf(40_000))
    const bytes = await contentOf(exportEntries(source, { format }))
    const target = await openAt(testFolder())
    await target.set('a', 'old')
    await write(target, 'blob', Buffer.from('old'))
    const report = await importEntries(target, [bytes], { keepExisting: true })
    expect(report).toMatchObject({ entries: 2, blobs: 1, kept: 2 })
    expect(await target.get('a')).toBe('old')
    expect(await target.get('b')).toBe('new')
    expect(await contentOf(await target.createReadStream('blob'))).toEqual(Buffer.from('old'))
    await importEntries(target, [bytes])
    expect(await target.get('a')).toBe('new')
    expect(await contentOf(await target.createReadStream('blob'))).toEqual(patternOf(40_000))
    await source.close()
    await target.close()
  })

  it('is refused for what has no store of its own', async () => {
    const dir = testFolder()
    const cache = await openAt(join(dir, 'store'), { tiers: { ssd: false } })
    expect(() => exportEntries(cache.namespace('a'), { format })).toThrow(
      /the cache that open\(\) has returned/,
    )
    expect(() => exportEntries(cache, { format, namespaces: ['nowhere'] })).toThrow(/no namespace "nowhere"/)
    expect(() => exportEntries(cache, { format: 'xml' as ExportFormat })).toThrow(
      /'ndjson' or 'binary', not "xml"/,
    )
    await cache.close()
  })
})
