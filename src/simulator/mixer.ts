/**
 * Keys as a store sees them. The ids of a trace are dense in order of first appearance, so their numeric value gives
 * away how new a key is. Every id is therefore sent through the splitmix64 finaliser with a seed per trace: a
 * permutation of 64-bit numbers, so distinct ids stay distinct keys. Steele, Lea, Flood, "Fast splittable pseudorandom
 * number generators", OOPSLA '14; constants by Stafford (mix 13).
 *
 * Slow 64-bit arithmetic is fine: it runs once per unique key, before the clock starts.
 */

const MASK_64 = (1n << 64n) - 1n
const GOLDEN_GAMMA = 0x9e3779b97f4a7c15n

export function mixKey(id: number, traceSeed: bigint): bigint {
  let z = (traceSeed + BigInt(id) * GOLDEN_GAMMA) & MASK_64
  z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK_64
  z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & MASK_64
  return z ^ (z >> 31n)
}

/** FNV-1a, 64 bits, of the name: the same trace has the same keys in every run and on every machine. */
export function traceSeed(name: string): bigint {
  let hash = 0xcbf29ce484222325n
  for (const byte of Buffer.from(name)) hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & MASK_64
  return hash
}

/**
 * The key of every id: all 64 bits in 11 characters of base64url, which is short, of fixed length, and one byte per
 * character in any encoding.
 */
export function keyStrings(uniqueCount: number, seed: bigint): string[] {
  const bytes = Buffer.alloc(8)
  return Array.from({ length: uniqueCount }, (_, id) => {
    bytes.writeBigUInt64LE(mixKey(id, seed))
    return bytes.toString('base64url')
  })
}
