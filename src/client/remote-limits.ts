/** Limiters of a process that does not own the store: its owner counts. */
import type { Key, LimitAnswer, Limits, LimitTerms } from '../native/engine.ts'
import type { Channel } from './channel.ts'
import { listOf, numberOf } from './commands.ts'
import type { Reply } from './replies.ts'

export class RemoteLimits implements Limits {
  readonly #channel: Channel

  constructor(channel: Channel) {
    this.#channel = channel
  }

  ask(
    namespace: string,
    name: string,
    key: Key,
    { points: limit, windowMs, warn, penaltyMs }: LimitTerms,
    points: number,
    countsAll: boolean,
  ): Promise<LimitAnswer> {
    const words = ['WARN', warn, 'PENALTY', penaltyMs, ...(countsAll ? ['ALL'] : [])]
    const args = [namespace, name, key, limit, windowMs, points, ...words]
    // Sent again, points would count twice; a look may be.
    return this.#channel.request('RC.LIMIT', args, points === 0, answerOf)
  }

  reset(namespace: string, name: string, key: Key): Promise<boolean> {
    return this.#channel.request('RC.LIMIT', [namespace, name, key, 'RESET'], true, isOne)
  }
}

function answerOf(reply: Reply, command: string): LimitAnswer {
  const [isAllowed, consumed, , retryAfterMs, resetMs, isWarned] = listOf(reply, command)
  const number = (field: Reply | undefined) => numberOf(field, command)
  return {
    isAllowed: number(isAllowed) === 1,
    consumed: number(consumed),
    retryAfterMs: number(retryAfterMs),
    resetMs: number(resetMs),
    isWarned: number(isWarned) === 1,
  }
}

function isOne(reply: Reply, command: string): boolean {
  return numberOf(reply, command) === 1
}
