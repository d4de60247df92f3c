import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { keyStrings, mixKey, traceSeed } from '../../src/simulator/mixer.ts'
import {
  limitTrace,
  nextUses,
  parseTrace,
  readTrace,
  TraceError,
  withUniformSize,
} from '../../src/simulator/trace.ts'
import { SAMPLE_DIRECTORY, traceBytes, traceFile, traceOf } from './support.ts'

describe('a sound file', () => {
  test('with one size for all', () => {
    const trace = parseTrace(traceFile({ keys: [0, 1, 0, 2], uniformSize: 100 }), 'dir/shop.rct.gz')
    expect(trace).toMatchObject({ name: 'shop', uniqueCount: 3, uniformSize: 100, footprintBytes: 300 })
    expect([...trace.keys]).toEqual([0, 1, 0, 2])
  })

  test('with a size column: the last request of a key says its size', () => {
    const content = { keys: [0, 1, 0, 2], sizes: [10, 20, 30, 40], times: [1, 2, 3, 4], ops: [0, 1, 0, 1] }
    const trace = parseTrace(traceFile(content), 'x')
    expect([...trace.sizes]).toEqual([30, 20, 40])
    expect(trace).toMatchObject({ uniformSize: undefined, footprintBytes: 90 })
  })

  test('the bundled sample', async () => {
    const trace = await readTrace(join(SAMPLE_DIRECTORY, 'web12-sample.rct.gz'))
    expect(trace.keys.length).toBe(6000)
    expect(trace.uniqueCount).toBe(2794)
  })
})

describe('a hostile file is refused with its name and the reason', () => {
  const sound = traceBytes({ keys: [0, 1, 0, 2] })
  const cases: [string, Uint8Array, RegExp][] = [
    ['nothing', new Uint8Array(0), /header has 32 bytes|gzip/],
    ['no gzip', Buffer.from('RCTRACE1 but plain'), /gzip: incorrect header check/],
    ['half a header', gzipSync(sound.subarray(0, 20)), /header has 32 bytes, found 20/],
    ['wrong magic', traceFile({ magic: 'RCTRACE2' }), /does not begin with RCTRACE1/],
    ['unknown flag', traceFile({ flags: 8 }), /unknown flags 0x8/],
    ['no requests', traceFile({ keys: [] }), /no requests/],
    ['more requests than any file may have', traceFile({ requests: 1n << 40n }), /the limit is/],
    [
      'more requests than its bytes can hold',
      traceFile({ requests: 60_000_000n }),
      /compressed bytes cannot hold/,
    ],
    ['fewer requests than bytes', traceFile({ keys: [0, 1, 0], requests: 2n }), /expands beyond 40 bytes/],
    ['more requests than bytes', traceFile({ keys: [0, 1, 0], requests: 5n }), /52 bytes expected.*44 found/],
    ['a missing size column', traceFile({ flags: 1 }), /56 bytes expected/],
    ['more keys than requests', traceFile({ uniqueKeys: 4n }), /4 unique keys in 3 requests/],
    ['too few unique keys', traceFile({ uniqueKeys: 1n }), /1 unique keys, there are 2/],
    ['keys out of order', traceFile({ keys: [0, 2, 1] }), /key 2 at request 1/],
    ['a huge key', traceFile({ keys: [0, 0xffffffff] }), /key 4294967295/],
    ['size 0 for all', traceFile({ uniformSize: 0 }), /size 0/],
    ['size 0 for one', traceFile({ sizes: [1, 0, 1] }), /size 0/],
    [
      'a cut gzip',
      traceFile({ keys: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] }).subarray(0, 40),
      /expected|gzip|header/,
    ],
    ['a bomb', gzipSync(Buffer.concat([sound, Buffer.alloc(8 << 20)])), /expands beyond/],
  ]

  test.each(cases)('%s', (_, bytes, reason) => {
    const parse = () => parseTrace(bytes, 'evil.rct.gz')
    expect(parse).toThrow(TraceError)
    expect(parse).toThrow(reason)
    expect(parse).toThrow(/^evil\.rct\.gz: not a usable trace: /)
  })

  test('damage in the middle of the stream', () => {
    const bytes = traceFile({ keys: Array.from({ length: 5000 }, (_, i) => i) })
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 0xff
    expect(() => parseTrace(bytes, 'x')).toThrow(TraceError)
  })
})

describe('derived traces', () => {
  test('limit keeps the first requests and shrinks the footprint', () => {
    const trace = limitTrace(traceOf('a b a c d', 10), 3)
    expect([...trace.keys]).toEqual([0, 1, 0])
    expect(trace).toMatchObject({ uniqueCount: 2, footprintBytes: 20 })
    const whole = traceOf('a b')
    expect(limitTrace(whole, 2)).toBe(whole)
  })

  test('uniform size drops the sizes', () => {
    const trace = parseTrace(traceFile({ sizes: [10, 20, 30] }), 'x')
    expect(withUniformSize(trace, 7)).toMatchObject({ uniformSize: 7, footprintBytes: 14 })
  })

  test('next uses', () => {
    expect([...nextUses(traceOf('a b a c b'))]).toEqual([2, 4, 5, 5, 5])
  })
})

describe('keys for a store', () => {
  test('splitmix64: the published first outputs for seed 0', () => {
    // The generator adds its increment before it mixes, so output n is the mix of id n + 1.
    expect(mixKey(1, 0n)).toBe(0xe220a8397b1dcdafn)
    expect(mixKey(2, 0n)).toBe(0x6e789e6aa1b965f4n)
    expect(mixKey(3, 0n)).toBe(0x06c45d188009454fn)
  })

  test('are distinct, of one length, plain ASCII, without order, and the same in every run', () => {
    const keys = keyStrings(20_000, traceSeed('web12'))
    expect(new Set(keys).size).toBe(20_000)
    expect(keys.every((key) => /^[A-Za-z0-9_-]{11}$/.test(key))).toBe(true)
    const rising = keys.filter((key, id) => id > 0 && key > (keys[id - 1] as string)).length
    expect(rising / keys.length).toBeCloseTo(0.5, 1)
    expect(keyStrings(3, traceSeed('web12'))).toEqual(keys.slice(0, 3))
    expect(keyStrings(3, traceSeed('oltp'))).not.toEqual(keys.slice(0, 3))
  })
})
