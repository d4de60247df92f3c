import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RamcacheError } from '../../src/base/errors.ts'
import { decodeManifest, decodeRecord, encodeManifest, encodeRecord, Manifest } from '../../src/codec/blob.ts'

const id = '00112233445566778899aabbccddeeff'

/** What decoding gives; `undefined` when it refuses in the only way it may. */
function attempt<T>(decode: (bytes: Uint8Array) => T, bytes: Uint8Array): T | undefined {
  try {
    return decode(bytes)
  } catch (error) {
    expect(error).toBeInstanceOf(RamcacheError)
    expect((error as RamcacheError).code).toBe('ERR_RAMCACHE_CORRUPT')
    return undefined
  }
}

describe('a manifest', () => {
  it('has these bytes, for ever', () => {
    const manifest = new Manifest({ id, totalBytes: 0x1_0000_0001, chunkBytes: 0x4_0000 })
    expect(encodeManifest(manifest).toString('hex')).toBe(`01${id}01000000010000000000040001400000`)
    expect(decodeManifest(encodeManifest(manifest))).toEqual(manifest)
  })

  it('comes back as it was', () => {
    const length = fc.oneof(fc.integer({ min: 0, max: 300_000 }), fc.integer({ min: 0, max: 2 ** 45 }))
    fc.assert(
      fc.property(length, fc.integer({ min: 16_384, max: 262_144 }), (totalBytes, chunkBytes) => {
        const manifest = new Manifest({ id, totalBytes, chunkBytes })
        expect(decodeManifest(encodeManifest(manifest))).toEqual(manifest)
        const lengths = [0, manifest.chunkCount - 1].map((number) => manifest.bytesOf(Math.max(0, number)))
        for (const bytes of lengths) expect(bytes).toBeLessThanOrEqual(chunkBytes)
        const last = Math.max(0, manifest.chunkCount - 1)
        expect(last * chunkBytes + manifest.bytesOf(last)).toBe(totalBytes)
      }),
    )
  })

  it('of any bytes is read or refused, and what is read keeps its promises', () => {
    const good = encodeManifest(new Manifest({ id, totalBytes: 1_000_000, chunkBytes: 65_536 }))
    const hostile = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.tuple(fc.integer({ min: 0, max: 32 }), fc.integer({ min: 0, max: 255 })).map(([at, byte]) => {
        const bytes = Buffer.from(good)
        bytes[at] = byte
        return bytes
      }),
    )
    fc.assert(
      fc.property(hostile, (bytes) => {
        const manifest = attempt(decodeManifest, bytes)
        if (manifest !== undefined) expect(encodeManifest(manifest).equals(bytes)).toBe(true)
      }),
      { numRuns: 2000 },
    )
  })
})

describe('the record of a blob', () => {
  it('has these bytes, for ever', () => {
    const record = { isSuspected: true, chunkCount: 16, namespace: 'a/b', key: Buffer.from('k') }
    expect(encodeRecord(record).toString('hex')).toBe('01011000000003612f626b')
    expect(decodeRecord(encodeRecord(record))).toEqual(record)
  })

  it('of any bytes is read or refused', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => void attempt(decodeRecord, bytes)))
  })
})
