/** What the owner is told beside keys and values (docs/PROTOCOL.md), and what its answers mean. */
import { type ErrorCode, errorTable, RamcacheError } from '../base/errors.ts'
import type { WriteOptions } from '../native/engine.ts'
import { tagBytes } from '../native/write-options.ts'
import type { Argument } from './outbox.ts'
import type { ErrorReply, Reply } from './replies.ts'

/** The words for what a write was told. What it was not told is the owner's to decide. */
export function optionWords(options: WriteOptions | undefined): Argument[] {
  if (options === undefined) return []
  const words: Argument[] = []
  const { ttlMs, idleMs, tags, ifVersion, durability } = options
  if (ttlMs !== undefined) words.push('TTL', ttlMs)
  if (idleMs !== undefined) words.push('IDLE', idleMs)
  if (tags !== undefined && tags.length > 0) words.push('TAGS', tags.length, ...tagBytes(tags))
  if (options.graceMs !== undefined) words.push('GRACE', options.graceMs)
  if (options.lease !== undefined) words.push('LEASE', options.lease)
  if (ifVersion !== undefined) words.push('IFVERSION', ifVersion)
  if (options.ifAbsent === true) words.push('NX')
  if (options.ifPresent === true) words.push('XX')
  if (durability !== undefined) words.push('DURABILITY', durability)
  return words
}

/** The error that the owner had, as it would have been thrown here. */
export function errorOf({ text }: ErrorReply, command: string): RamcacheError {
  const [, code = '', message = ''] = /^RC ([A-Z_]+) ?([\s\S]*)$/.exec(text) ?? []
  const known = `ERR_RAMCACHE_${code}`
  if (known in errorTable) return new RamcacheError(known as ErrorCode, message)
  return new RamcacheError('ERR_RAMCACHE_UNAVAILABLE', `the owner of the store refuses ${command}: ${text}`)
}

/** A reply that has another form than the protocol says. */
export function unexpected(command: string, reply: Reply): RamcacheError {
  const what = Array.isArray(reply) ? `a list of ${reply.length}` : typeof reply
  return new RamcacheError('ERR_RAMCACHE_CORRUPT', `the owner of the store answered ${command} with ${what}`)
}

export function textOf(reply: Reply | undefined, command: string): string {
  if (typeof reply === 'string') return reply
  if (reply instanceof Uint8Array) return reply.toString()
  throw unexpected(command, reply ?? null)
}

export function numberOf(reply: Reply | undefined, command: string): number {
  const number = typeof reply === 'number' ? reply : Number(textOf(reply, command))
  if (Number.isFinite(number)) return number
  throw unexpected(command, reply ?? null)
}

export function bytesOf(reply: Reply | undefined, command: string): Buffer {
  if (reply instanceof Uint8Array) return reply
  throw unexpected(command, reply ?? null)
}

export function listOf(reply: Reply | undefined, command: string): Reply[] {
  if (Array.isArray(reply)) return reply
  throw unexpected(command, reply ?? null)
}
