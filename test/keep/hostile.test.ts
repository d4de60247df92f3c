/** Input that is damaged, cut off or made up: a clear error that names the place, and nothing of a damaged batch. */
import { describe, expect, it } from 'vitest'
import { RamcacheError } from '../../src/base/errors.ts'
import { Prng } from '../../src/base/prng.ts'
import type { Cache } from '../../src/index.ts'
import { type ExportFormat, exportEntries } from '../../src/keep/export.ts'
import { importEntries } from '../../src/keep/import.ts'
import { patternOf } from '../support/blobs.ts'
import { failure } from '../support/errors.ts'
import { testFolder } from '../support/folders.ts'
import { testSeed } from '../support/seed.ts'
import { contentOf, openAt, valuesOfAllKinds } from './values.ts'

const inRam = { tiers: { ssd: false as const }, memory: '16mb' }

async function madeExport(format: ExportFormat): Promise<Buffer> {
  const cache = await openAt(testFolder(), inRam)
  for (const [key, value] of valuesOfAllKinds) await cache.set(key, value)
  // Several batches.
  for (let n = 0; n < 900; n++) await cache.set(`key ${n}`, { n, text: String(n).repeat(200) })
  const blob = cache.createWriteStream('blob')
  blob.end(patternOf(500_000))
  await new Promise((resolve) => blob.on('finish', resolve))
  const bytes = await contentOf(exportEntries(cache, { format }))
  await cache.close()
  return bytes
}

/** What is there must be right; how much there is. */
async function rightEntries(cache: Cache): Promise<number> {
  let count = 0
  for (let n = 0; n < 900; n++) {
    const found = await cache.get(`key ${n}`)
    if (found === undefined) continue
    expect(found).toEqual({ n, text: String(n).repeat(200) })
    count++
  }
  if (await cache.has('blob')) {
    expect((await contentOf(await cache.createReadStream('blob'))).equals(patternOf(500_000))).toBe(true)
  }
  return count
}

describe.each<ExportFormat>(['ndjson', 'binary'])('%s', (format) => {
  it('is refused with a flipped bit or a missing end, at a place', async () => {
    const random = new Prng(testSeed(`hostile ${format}`))
    const bytes = await madeExport(format)
    const place = format === 'ndjson' ? /^line \d+: / : /^offset \d+(, item \d+)?: /
    for (let round = 0; round < 60; round++) {
      const at = random.below(bytes.length)
      const isCut = round % 3 === 0
      const damaged = isCut ? bytes.subarray(0, at) : Buffer.from(bytes)
      if (!isCut) damaged[at] = (damaged[at] as number) ^ (1 << random.below(8))
      const cache = await openAt(testFolder(), inRam)
      try {
        await importEntries(cache, [damaged])
        // A first line that is lost makes the rest somebody's own, and is refused; an empty input is nothing.
        expect({ at, isCut }).toEqual({ at: 0, isCut: true })
      } catch (error) {
        expect(error, `${isCut ? 'cut' : 'flipped'} at ${at}`).toBeInstanceOf(RamcacheError)
        expect((error as RamcacheError).code).toMatch(/CORRUPT|VALUE/)
        expect((error as Error).message, `${isCut ? 'cut' : 'flipped'} at ${at}`).toMatch(place)
      }
      await rightEntries(cache)
      await cache.close()
    }
  })

  it('gives nothing of a damaged batch, and all of those before it', async () => {
    const bytes = await madeExport(format)
    const needle = Buffer.from('key 5')
    const at = bytes.lastIndexOf(needle)
    const damaged = Buffer.from(bytes)
    damaged[at] = (damaged[at] as number) ^ 1
    const cache = await openAt(testFolder(), inRam)
    const error = await failure('ERR_RAMCACHE_CORRUPT', () => importEntries(cache, [damaged]))
    expect(error.message).toMatch(/checksum of the batch.*does not match: nothing of it was imported/)
    const name = damaged.toString('latin1', at, at + 5)
    expect(name).not.toBe('key 5')
    for (let n = 0; n < 100; n++) expect(await cache.has(`${name}${n}`)).toBe(false)
    expect(await rightEntries(cache)).toBeGreaterThan(10)
    await cache.close()
  })

  it('of a newer version is refused', async () => {
    const bytes = await madeExport(format)
    const newer =
      format === 'ndjson'
        ? Buffer.from(bytes.toString().replace('"version":1', '"version":2'))
        : await newerBinary(bytes)
    const cache = await openAt(testFolder(), inRam)
    const error = await failure('ERR_RAMCACHE_CORRUPT', () => importEntries(cache, [newer]))
    expect(error.message).toMatch(/format version 2, this version of ramcache reads 1/)
    await cache.close()
  })
})

async function newerBinary(bytes: Buffer): Promise<Buffer> {
  const { crc32 } = await import('node:zlib')
  const newer = Buffer.from(bytes)
  newer.writeUInt32LE(2, 8)
  newer.writeUInt32LE(crc32(newer.subarray(0, 28)), 28)
  return newer
}

describe('lines of somebody’s own', () => {
  it('are entries without a check', async () => {
    const cache = await openAt(testFolder(), inRam)
    const lines = [
      '{"key":"a","value":{"deep":[1,{"$bigint":"2"}]}}',
      '',
      '{"namespace":"n","key":"/wAB","keyEncoding":"base64","type":"string","value":"x","tags":["t"]}',
    ]
    expect(await importEntries(cache, [Buffer.from(lines.join('\n'))])).toMatchObject({ entries: 2 })
    expect(await cache.get('a')).toEqual({ deep: [1, 2n] })
    expect(await cache.namespace('n').getEntry(Buffer.from([255, 0, 1]))).toMatchObject({
      value: 'x',
      tags: ['t'],
    })
    await cache.close()
  })

  it.each([
    ['{"key":"a"}', /line 2: there is no value/],
    ['{"key":"","value":1}', /line 2: a key must not be empty/],
    ['{"key":7,"value":1}', /line 2: key is 7, not a string/],
    ['{"key":"a","value":1,"ttl":5}', /line 2: there is no field "ttl"/],
    ['{"key":"a","type":"string","value":1}', /line 2: type is "string", but the value is of type number/],
    ['{"key":"a","value":{"$date":"now"}}', /line 2: "now" cannot stand under "\$date"/],
    ['{"key":"a","value":{"$Int16Array":"AAAA"}}', /line 2: 3 bytes cannot be a Int16Array/],
    ['{"key":"a","value":{"$bytes":"a b="}}', /line 2: .* is not base64/],
    ['{"key":"a","value":{"$file":"x"}}', /line 2: there is no kind of value named "\$file"/],
    [
      `{"key":"a","value":${'['.repeat(5000)}${']'.repeat(5000)}}`,
      /line 2: it is nested deeper than 512 levels/,
    ],
    ['{"key":"a","value":"x","tags":[""]}', /line 2: tag "" has 0 bytes/],
    ['{"namespace":" blobs","key":"a","value":1}', /line 2: a namespace name is/],
    [
      '{"key":"a","type":"packed","valueType":8,"value":"AA=="}',
      /line 2: a value of type 8 does not stand alone/,
    ],
    ['{"key":"a","type":"packed","valueType":9,"value":"kg=="}', /line 2: a stored object cannot be read/],
    ['{"key":"a","value":1,"expiresAt":-5}', /line 2: expiresAt is -5/],
    ['{"chunk":"AA=="}', /line 2: this is a part of a blob without its head/],
    ['[1]', /line 2: it is an array of 1, not an object/],
    ['{"key":', /line 2: it is not JSON/],
    [
      '{"key":"a","type":"blob","bytes":5}\n{"key":"b","value":1}',
      /line 3: this is an entry between the parts of a blob/,
    ],
    ['{"key":"a","type":"blob","bytes":5}\n{"chunk":"AAAA"}', /line 2: the input ends inside this blob/],
    ['{"key":"a","type":"blob","bytes":1}\n{"chunk":"AAAA"}', /line 3: a blob of 1 bytes has 3/],
  ])('%s', async (line, message) => {
    const cache = await openAt(testFolder(), inRam)
    const input = Buffer.from(`{"key":"first","value":1}\n${line}\n`)
    const error = await importEntries(cache, [input]).then(
      () => undefined,
      (error: unknown) => error,
    )
    expect(error).toBeInstanceOf(RamcacheError)
    expect((error as Error).message).toMatch(message)
    expect(await cache.has('a')).toBe(false)
    await cache.close()
  })
})
