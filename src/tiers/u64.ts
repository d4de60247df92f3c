/** 64-bit numbers in buffers, little-endian. */

/** A u64 that is known to be below 2^53. */
export function readU64(buffer: Buffer, at: number): number {
  return buffer.readUInt32LE(at) + buffer.readUInt32LE(at + 4) * 0x1_0000_0000
}

export function writeU64(buffer: Buffer, value: number, at: number): void {
  buffer.writeUInt32LE(value % 0x1_0000_0000, at)
  buffer.writeUInt32LE(Math.floor(value / 0x1_0000_0000), at + 4)
}

/** Compares two u64 where they lie; a bigint for each would cost more than the comparison. */
export function compareU64(left: Buffer, leftAt: number, right: Buffer, rightAt: number): number {
  const high = left.readUInt32LE(leftAt + 4) - right.readUInt32LE(rightAt + 4)
  return high !== 0 ? high : left.readUInt32LE(leftAt) - right.readUInt32LE(rightAt)
}
