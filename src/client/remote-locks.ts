/**
 * Locks of a process that does not own the store: they belong to its connection, and go with it. Who waits stands in line
 * at the owner, and is told by a push; when the connection is lost it asks again over the next one.
 */
import type { Come, Key, LockAttempt, Locks } from '../native/engine.ts'
import type { Channel } from './channel.ts'
import { listOf, numberOf, textOf, unexpected } from './commands.ts'
import type { Reply } from './replies.ts'

/** The name of the push. */
const pushName = 'rc.lock'

export class RemoteLocks implements Locks {
  readonly #channel: Channel
  readonly #waiting = new Map<number, Come>()
  #lastTicket = 0

  constructor(channel: Channel) {
    this.#channel = channel
    channel.onPush = (items) => this.#take(items)
    channel.onLost = () => this.#askAgain()
  }

  ticket(come: Come): number {
    this.#lastTicket++
    this.#waiting.set(this.#lastTicket, come)
    return this.#lastTicket
  }

  forget(ticket: number): void {
    this.#waiting.delete(ticket)
  }

  /** Sent again when its answer was lost: with the connection, the lock is gone that it may have got. */
  lock(namespace: string, key: Key, ttlMs: number, ticket?: number): Promise<LockAttempt> {
    const words = ticket === undefined ? [] : ['TICKET', ticket]
    return this.#channel.request('RC.LOCK', [namespace, key, ttlMs, ...words], true, attemptOf)
  }

  cancel(namespace: string, key: Key, ticket: number): Promise<boolean> {
    return this.#channel.request('RC.UNLOCK', [namespace, key, 'TICKET', ticket], true, isOne)
  }

  unlock(namespace: string, key: Key, token: string): Promise<boolean> {
    return this.#channel.request('RC.UNLOCK', [namespace, key, token], true, isOne)
  }

  renew(namespace: string, key: Key, token: string, ttlMs: number): Promise<boolean> {
    return this.#channel.request('RC.RENEW', [namespace, key, token, ttlMs], true, isOne)
  }

  #take([name, ticket, token]: readonly Reply[]): void {
    if (textOf(name, 'a push') !== pushName) return
    this.#waiting.get(numberOf(ticket, pushName))?.(textOf(token, pushName))
  }

  #askAgain(): void {
    for (const come of [...this.#waiting.values()]) come(undefined)
  }
}

function attemptOf(reply: Reply, command: string): LockAttempt {
  const [word, first, leftMs] = listOf(reply, command)
  const kind = textOf(word, command)
  if (kind === 'locked') return { kind, token: textOf(first, command) }
  if (kind !== 'held' && kind !== 'queued') throw unexpected(command, reply)
  return { kind, pid: numberOf(first, command), leftMs: numberOf(leftMs, command) }
}

function isOne(reply: Reply, command: string): boolean {
  return numberOf(reply, command) === 1
}
