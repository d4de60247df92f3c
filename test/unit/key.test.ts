import { expect, it } from 'vitest'
import type { RamcacheError } from '../../src/base/errors.ts'
import { checkKey, checkKeyBriefly } from '../../src/codec/key.ts'

const checks: ((key: unknown) => void)[] = [checkKey, checkKeyBriefly]

it.each<[string, unknown]>([
  ['a letter', 'a'],
  ['anything else', ' \0\n{}"é漢👋'],
  ['4,096 bytes', 'x'.repeat(4096)],
  ['4,095 bytes in characters of three', '漢'.repeat(1365)],
  ['bytes', Buffer.from([0, 255, 128])],
  ['a Uint8Array', new Uint8Array(4096)],
])('takes %s', (_, key) => {
  checkKey(key)
  checkKeyBriefly(key)
})

it.each<[string, unknown, string]>([
  ['nothing', undefined, 'not undefined'],
  ['a number', 5, 'not 5'],
  ['an object', {}, 'not an object'],
  ['an empty string', '', 'must not be empty'],
  ['no bytes', new Uint8Array(0), 'must not be empty'],
  ['4,097 bytes', 'x'.repeat(4097), '4097 bytes long, above the maximum of 4096 bytes'],
  ['too many bytes in few characters', '漢'.repeat(1366), '4098 bytes long'],
  ['too many bytes', new Uint8Array(5000), '5000 bytes long'],
  ['other typed arrays', new Uint16Array(2), 'not a Uint16Array'],
])('refuses %s', (_, key, message) => {
  for (const check of checks) {
    expect(() => check(key)).toThrow(message)
    try {
      check(key)
    } catch (error) {
      expect((error as RamcacheError).code).toBe('ERR_RAMCACHE_KEY')
    }
  }
})

it.each(['\ud800', 'a\udc00b', `${'x'.repeat(2000)}\ud800`])('refuses half a surrogate pair', (key) => {
  expect(() => checkKey(key)).toThrow('half a surrogate pair')
})
