import { describe, expect, test } from 'vitest'
import { POLICY_NAMES } from '../../src/simulator/policies/index.ts'
import { openPolicy, outcomes, traceOf, traceOfIds } from './support.ts'

describe('hand-computed sequences', () => {
  test('FIFO forgets a hit', () => {
    // a b | a hits | c evicts a (oldest) | a misses and evicts b | c hits
    expect(outcomes('FIFO', traceOf('a b a c a c'), 2)).toBe('mmhmmh')
  })

  test('LRU keeps what was hit', () => {
    // a b | a hits | c evicts b | a hits | b misses and evicts c | c misses
    expect(outcomes('LRU', traceOf('a b a c a b c'), 2)).toBe('mmhmhmm')
  })

  test('SIEVE spares the visited in place and goes on from there', () => {
    // a b c, a visited. d: hand clears a, evicts b, stays at c. e: evicts c, hand at d. a is still there (hit).
    // f: hand at d, evicts d, hand at e. d misses: evicts e. a hits.
    expect(outcomes('SIEVE', traceOf('a b c a d e a f d a'), 3)).toBe('mmmhmmhmmh')
  })

  test('SIEVE starts again at the oldest when its hand has passed the newest', () => {
    // a, b visited. c: the hand clears both, comes round, evicts a, stays at b. b hits. d: clears b, evicts c, which was
    // the newest, so the hand has no place. c: from the oldest again, evicts b. e: the hand is at d and evicts it.
    expect(outcomes('SIEVE', traceOf('a b a b c b d c e c'), 2)).toBe('mmhhmhmmmh')
  })

  test('Belady evicts the farthest next use', () => {
    // c evicts b (next use 5) and not a (next use 3)
    expect(outcomes('Belady', traceOf('a b c a c b'), 2)).toBe('mmmhhm')
  })
})

describe('S3-FIFO', () => {
  // Capacity 10 of size 1: small 1, main 9, ghost 9. Small alone grows into the room that main does not use.
  const FILL = 'k0 k1 k2 k3 k4 k5 k6 k7 k8 k9'
  const FILL_MISSES = 'm'.repeat(10)

  test('one hit in small does not save: the object leaves, and ghost remembers it', () => {
    // k0 hit once. x evicts k0 to ghost. k0 misses (its return enters main, evicting k1).
    expect(outcomes('S3-FIFO', traceOf(`${FILL} k0 x k0 k1`), 10)).toBe(`${FILL_MISSES}hmmm`)
  })

  test('two hits in small promote to main', () => {
    // x finds k0 with two hits: k0 goes to main, k1 leaves instead.
    expect(outcomes('S3-FIFO', traceOf(`${FILL} k0 k0 x k0 k1`), 10)).toBe(`${FILL_MISSES}hhmhm`)
  })

  test('a miss that ghost remembers enters main, and outlives a scan of small', () => {
    // x evicts k0; k0 comes back into main. A scan of 20 new keys turns small over twice, k0 stays.
    const scan = Array.from({ length: 20 }, (_, i) => `s${i}`).join(' ')
    const words = `${FILL} x k0 ${scan} k0`
    expect(outcomes('S3-FIFO', traceOf(words), 10)).toBe(`${FILL_MISSES}mm${'m'.repeat(20)}h`)
  })

  test('ghost forgets after nine tenths of a capacity', () => {
    // k0 leaves first; nine more leave after it and push it out of ghost. Its return enters small as a newcomer, so the
    // next scan of ten removes it again.
    const scan = (name: string) => Array.from({ length: 10 }, (_, i) => `${name}${i}`).join(' ')
    const words = `${FILL} ${scan('x')} k0 ${scan('y')} k0`
    expect(outcomes('S3-FIFO', traceOf(words), 10)).toBe('m'.repeat(32))
  })

  test('promotion clears the counter', () => {
    // Ten keys with two hits each, k0 with three: on the first eviction all go to main, which is then over its share, and
    // k0 is its oldest: it leaves whatever it earned in small.
    const thrice = `${FILL} ${FILL} ${FILL}`
    const hits = FILL_MISSES + 'h'.repeat(20)
    expect(outcomes('S3-FIFO', traceOf(`${thrice} k0 x k1 k0`), 10)).toBe(`${hits}hmhm`)
  })

  test('an object larger than small is not admitted and evicts nothing', () => {
    const trace = traceOfIds([0, 1, 1, 0], (id) => (id === 0 ? 10 : 11))
    expect(outcomes('S3-FIFO', trace, 100)).toBe('mmmh')
  })
})

describe.each(POLICY_NAMES)('%s with sizes', (name) => {
  test('evicts as many as the newcomer needs, never exceeds the capacity', () => {
    const ids = Array.from({ length: 3000 }, (_, i) => (i * i * 31 + i) % 97)
    const trace = traceOfIds(ids, (id) => 1 + ((id * 7) % 20))
    const policy = openPolicy(name, trace, 250)
    for (const id of trace.keys) {
      policy.request(id, trace.sizes[id] as number)
      expect(policy.used).toBeLessThanOrEqual(250)
    }
    expect(policy.used).toBeGreaterThan(250 - 20)
  })

  test('does not admit what can never fit', () => {
    const trace = traceOfIds([0, 1, 1, 0], (id) => (id === 0 ? 5 : 101))
    expect(outcomes(name, trace, 100)).toBe('mmmh')
  })

  test('misses each key once when all fit', () => {
    const trace = traceOfIds(Array.from({ length: 400 }, (_, i) => (i * 37) % 50))
    const misses = [...outcomes(name, trace, 50)].filter((outcome) => outcome === 'm')
    expect(misses).toHaveLength(50)
  })
})
