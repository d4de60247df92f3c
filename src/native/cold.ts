/**
 * What RAM does not have: questions to the tiers below, and waiting until a change is on disk. Both are answered by
 * other threads; a bell rings in this one, and the promises are kept then.
 */
import { RamcacheError } from '../base/errors.ts'
import { Answer, NativeAnswer } from './answers.ts'
import { binding, type NativeHandle, type NativeSpace } from './binding.ts'
import type { Key } from './engine.ts'

/** What the log is waited for; the same numbers stand in `native/node/src/below.rs`. */
const Mark = { logged: 0, durable: 1, covered: 2 } as const

interface Waiting {
  /** Takes what it wants of an answer; bytes are used again when it returns. */
  take(answer: NativeAnswer): void
  reject(error: unknown): void
}

/** Answers that are collected at a time; a larger one gets a buffer of its own. */
const answersBytes = 64 * 1024

/** Longest time a timer can have: this one only keeps the event loop alive while somebody waits. */
const NEVER_MS = 2 ** 31 - 1

/** One for each open store in each thread. */
export class ColdReads {
  readonly #handle: NativeHandle
  readonly #waiting = new Map<number, Waiting>()
  #asker: number | undefined
  #reachesBelow = false
  #keepAlive: NodeJS.Timeout | undefined
  #answers: Buffer | undefined

  constructor(handle: NativeHandle) {
    this.#handle = handle
  }

  /** Once a store has tiers it keeps them, so only the answer no is asked for again. */
  get reachesBelow(): boolean {
    this.#reachesBelow ||= binding().hasTiers(this.#handle)
    return this.#reachesBelow
  }

  /**
   * Asks for a key of a namespace and resolves to what `take` makes of the answer. `undefined`: RAM knows it after all.
   * Rejects with what the tiers below failed with.
   */
  ask<T>(
    space: NativeSpace,
    key: Key,
    purpose: number,
    take: (answer: NativeAnswer) => T,
  ): Promise<T> | undefined {
    const id = space.ask(key, this.#register(), purpose)
    return id === 0 ? undefined : this.#wait(id, take)
  }

  /** Waits until every change made so far survives a power cut. */
  durable(): Promise<void> {
    return this.#reached(Mark.durable)
  }

  /** Waits until every change made so far survives the end of this process. */
  logged(): Promise<void> {
    return this.#reached(Mark.logged)
  }

  /** Waits until nothing comes back that writes without durability have replaced. `undefined` when that is so. */
  covered(): Promise<void> | undefined {
    const id = binding().awaitLog(this.#handle, this.#register(), Mark.covered)
    return id === 0 ? undefined : this.#wait(id, () => {})
  }

  async #reached(mark: number): Promise<void> {
    const id = binding().awaitLog(this.#handle, this.#register(), mark)
    if (id !== 0) await this.#wait(id, () => {})
  }

  close(): void {
    if (this.#asker !== undefined) binding().unregisterAsker(this.#handle, this.#asker)
    // Its bell may have been rung already, and is heard when nothing is there to be collected.
    this.#asker = undefined
    const closed = new RamcacheError('ERR_RAMCACHE_CLOSED', 'the cache is closed')
    for (const { reject } of this.#waiting.values()) reject(closed)
    this.#waiting.clear()
    clearInterval(this.#keepAlive)
  }

  #register(): number {
    this.#asker ??= binding().registerAsker(this.#handle, () => this.#collect())
    return this.#asker
  }

  #wait<T>(id: number, take: (answer: NativeAnswer) => T): Promise<T> {
    this.#keepAlive ??= setInterval(() => {}, NEVER_MS)
    this.#keepAlive.ref()
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { take: (answer) => resolve(take(answer)), reject })
    })
  }

  #collect(): void {
    this.#answers ??= Buffer.allocUnsafeSlow(answersBytes)
    for (let into = this.#answers; this.#asker !== undefined; ) {
      const bytes = binding().collectAnswers(this.#handle, this.#asker, into)
      if (bytes === 0) break
      if (bytes > 0) this.#hand(into, bytes)
      into = bytes < 0 ? Buffer.allocUnsafeSlow(-bytes) : this.#answers
    }
    if (this.#waiting.size === 0) this.#keepAlive?.unref()
  }

  #hand(answers: Buffer, bytes: number): void {
    for (let at = 0; at < bytes; ) {
      const answer = new NativeAnswer(answers, at)
      at = answer.next
      const waiting = this.#waiting.get(answer.id)
      if (waiting === undefined) continue
      this.#waiting.delete(answer.id)
      if (answer.kind === Answer.failed) waiting.reject(answer.error)
      else {
        try {
          waiting.take(answer)
        } catch (error) {
          waiting.reject(error)
        }
      }
    }
  }
}
