/**
 * The memory JavaScript and the native part pass values through: control words, then bytes. One for each thread, its
 * own ArrayBuffer (never from a pool), referenced for as long as the thread lives.
 */

/** Control words; the same numbers stand in `native/node/src/space.rs`. */
export const Control = {
  type: 0,
  flags: 1,
  ttl: 2,
  idle: 3,
  clockHigh: 4,
  clockLow: 5,
  originHigh: 6,
  originLow: 7,
  tags: 8,
  init: 9,
  cold: 10,
  grace: 11,
  expiresAt: 13,
  deadline: 14,
  now: 15,
  slot: 16,
  slotBits: 17,
  generationAt: 18,
  generation: 19,
  slotExpires: 20,
  leaseHigh: 21,
  leaseLow: 22,
} as const

/** What there is to do after a read; `native/node/src/space.rs`. */
export const Cold = { no: 0, maybe: 1, noFilter: 2, slides: 3 } as const

/** Bits of the flags word. */
export const Flag = {
  ttl: 1,
  idle: 2,
  ifAbsent: 4,
  ifPresent: 8,
  ifVersion: 16,
  tags: 32,
  pinned: 64,
  init: 128,
  ramDecides: 256,
  blind: 512,
  volatile: 1024,
  expiresAt: 4096,
  lease: 8192,
  grace: 16384,
} as const

const CONTROL_WORDS = 24
/** Values up to this size are decoded in place; larger ones get a Buffer of their own. */
const SCRATCH_BYTES = 64 << 10

export const scratchBuffer = new ArrayBuffer(CONTROL_WORDS * 8 + SCRATCH_BYTES)
export const control = new Float64Array(scratchBuffer, 0, CONTROL_WORDS)
export const scratch = Buffer.from(scratchBuffer, CONTROL_WORDS * 8)
