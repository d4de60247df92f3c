/** Replies into RESP, in what RESP2 and RESP3 have in common but for their nothing. */
import { RamcacheError } from '../base/errors.ts'

/** `null` is nothing, a number an integer, text and bytes a bulk. */
export type Reply = null | number | string | Uint8Array | Simple | Failure | readonly Reply[]

/** A status. */
export class Simple {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

/** An error with its code in front. */
export class Failure {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

export const ok = new Simple('OK')

const crlf = Buffer.from('\r\n')

export function encodeReply(reply: Reply, isResp3: boolean): Buffer {
  const parts: Uint8Array[] = []
  push(reply, isResp3, parts)
  return Buffer.concat(parts)
}

function push(reply: Reply, isResp3: boolean, parts: Uint8Array[]): void {
  if (reply === null) {
    parts.push(Buffer.from(isResp3 ? '_\r\n' : '$-1\r\n'))
  } else if (typeof reply === 'number') {
    parts.push(Buffer.from(`:${reply}\r\n`))
  } else if (typeof reply === 'string') {
    push(Buffer.from(reply), isResp3, parts)
  } else if (reply instanceof Uint8Array) {
    parts.push(Buffer.from(`$${reply.length}\r\n`), reply, crlf)
  } else if (reply instanceof Simple) {
    parts.push(Buffer.from(`+${reply.text}\r\n`))
  } else if (reply instanceof Failure) {
    parts.push(Buffer.from(`-${reply.text.replaceAll(/[\r\n]/g, ' ')}\r\n`))
  } else {
    parts.push(Buffer.from(`*${reply.length}\r\n`))
    for (const item of reply) push(item, isResp3, parts)
  }
}

const codePrefix = 'ERR_RAMCACHE_'

/** What a command failed with, as its client makes the same error of it again. */
export function failureOf(error: unknown): Failure {
  if (error instanceof RamcacheError) {
    return new Failure(`RC ${error.code.slice(codePrefix.length)} ${error.message}`)
  }
  return new Failure(`ERR ${error instanceof Error ? error.message : String(error)}`)
}
