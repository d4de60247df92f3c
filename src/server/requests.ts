/**
 * Requests of clients as they come out of the native part, back to back, little-endian; `native/server/src/control.rs`
 * draws them too:
 *
 * ```text
 * u64 request | u64 connection | u8 kind | u8 2 or 3 (RESP) | u16 bytes of the namespace | u32 arguments |
 * namespace, then for each argument: u32 bytes, bytes
 * ```
 */

export interface CommandRequest {
  readonly kind: 'command'
  readonly id: number
  readonly connection: number
  readonly isResp3: boolean
  /** Where Redis commands of the connection work. */
  readonly namespace: string
  /** The name of the command, in lower case. */
  readonly name: string
  /** What stands behind it; the bytes are this request's alone. */
  readonly args: readonly Buffer[]
}

/** A connection that has sent commands is gone. */
export interface ClosedRequest {
  readonly kind: 'closed'
  readonly connection: number
}

const headBytes = 24
const kindClosed = 2

export function* unpackRequests(packed: Buffer): Generator<CommandRequest | ClosedRequest, void, undefined> {
  for (let at = 0; at < packed.length; ) {
    const id = Number(packed.readBigUInt64LE(at))
    const connection = Number(packed.readBigUInt64LE(at + 8))
    const kind = packed[at + 16]
    const isResp3 = packed[at + 17] === 3
    const nameEnd = at + headBytes + packed.readUInt16LE(at + 18)
    const count = packed.readUInt32LE(at + 20)
    const namespace = packed.toString('latin1', at + headBytes, nameEnd)
    const words: Buffer[] = []
    at = nameEnd
    for (let index = 0; index < count; index++) {
      const end = at + 4 + packed.readUInt32LE(at)
      words.push(packed.subarray(at + 4, end))
      at = end
    }
    if (kind === kindClosed) {
      yield { kind: 'closed', connection }
      continue
    }
    const [name = Buffer.alloc(0), ...args] = words
    yield {
      kind: 'command',
      id,
      connection,
      isResp3,
      namespace,
      name: name.toString('latin1').toLowerCase(),
      args,
    }
  }
}
