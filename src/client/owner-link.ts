/**
 * The connections to the owner of a store: one for writes, and a second one for reads that may have to wait for a disk,
 * so that no write waits behind them. The second is made when it is first needed, and goes with the first.
 *
 * ```text
 * down -> greeting -> up -> down ...        closed, from everywhere, for ever
 * ```
 *
 * Down: who may become the owner tries to (`whileDown`), then connects again, with pauses that grow. Nothing is sent before
 * the other side has said who it is (RC.OPEN) and its arena is attached.
 */
import type { Socket } from 'node:net'
import { systemClock } from '../base/clock.ts'
import { RamcacheError } from '../base/errors.ts'
import { freshSeed, Prng } from '../base/prng.ts'
import { publish } from '../observe/events.ts'
import { Channel } from './channel.ts'
import { listOf, numberOf, textOf } from './commands.ts'
import { dial, type RemoteAddress } from './dial.ts'
import type { Reply } from './replies.ts'

/** What an owner says of itself. */
export interface OwnerInfo {
  readonly pid: number
  readonly data: string
  readonly touch: string
  readonly arenaId: string
  readonly budgetBytes: number
  readonly hasTiers: boolean
  readonly mode: 'daemon' | 'embedded'
}

export interface LinkOptions {
  /** How long a call that needs the owner waits for one. */
  readonly timeoutMs: number
  /** Of commands without an answer, for each connection. */
  readonly queueBytesMax?: number
  /** Whether this process would own the store, if nobody did: then an owner that closes it leaves its memory. */
  readonly isHeir: boolean
  /** Path of the socket, or what stands for it in messages. Throws when there is none to be found. */
  path(): string
  /** Where it is, when it is no path. */
  readonly remote?: RemoteAddress | undefined
  /** Takes an owner's arena into use, before anything is sent to that owner. What it throws ends the connection. */
  attach(info: OwnerInfo): void
  /** Before each attempt to connect again. */
  whileDown(): Promise<void>
}

const pauseMsFirst = 5
const pauseMsMost = 250
/** A connection that stood so long was a good one: the next pause is the first again. */
const steadyMs = 1000
/** How often what waits is looked at, as long as something may wait. */
const tickMs = 50

export class OwnerLink {
  readonly hot: Channel
  readonly cold: Channel
  readonly #options: LinkOptions
  readonly #prng = new Prng(freshSeed())
  #path = ''
  #socket: Socket | undefined
  #coldSocket: Socket | undefined
  #isUp = false
  #upSinceMs = 0
  #isOpening = false
  #isDialingCold = false
  #isClosed = false
  #pauseMs = pauseMsFirst
  #ticker: NodeJS.Timeout | undefined
  #why = 'there was no connection yet'

  constructor(options: LinkOptions) {
    this.#options = options
    const { timeoutMs, queueBytesMax } = options
    const onWaiting = () => this.#tick()
    this.hot = new Channel({ timeoutMs, queueBytesMax, onWaiting })
    this.cold = new Channel({ timeoutMs, queueBytesMax, onWaiting })
  }

  get isUp(): boolean {
    return this.#isUp
  }

  /** Connects for the first time. Rejects with ERR_RAMCACHE_UNAVAILABLE, after one attempt. */
  async open(): Promise<void> {
    this.#isOpening = true
    this.#tick()
    let timer: NodeJS.Timeout | undefined
    const tooLong = new Promise<never>((_, reject) => {
      const message = `the owner of the store does not answer at ${this.#options.path()}: nothing came within ${this.#options.timeoutMs} ms`
      timer = setTimeout(
        () => reject(new RamcacheError('ERR_RAMCACHE_UNAVAILABLE', message)),
        this.#options.timeoutMs,
      )
    })
    try {
      await Promise.race([this.#connect(), tooLong])
    } catch (error) {
      this.#socket?.destroy()
      throw error
    } finally {
      clearTimeout(timer)
      this.#isOpening = false
    }
  }

  /** Waits for answers as long as they can come, at most `timeoutMs`; then whatever is unanswered rejects. */
  async close(timeoutMs: number): Promise<void> {
    if (this.#isClosed) return
    if (this.#isUp && this.pending > 0) {
      let timer: NodeJS.Timeout | undefined
      const tooLong = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, timeoutMs)
      })
      await Promise.race([this.idle(), tooLong])
      clearTimeout(timer)
    }
    this.#isClosed = true
    this.#isUp = false
    const error = new RamcacheError('ERR_RAMCACHE_CLOSED', 'the cache is closed')
    this.hot.close(error)
    this.cold.close(error)
    this.#socket?.destroy()
    this.#coldSocket?.destroy()
    clearInterval(this.#ticker)
  }

  /** Commands without an answer. */
  get pending(): number {
    return this.hot.pending + this.cold.pending
  }

  async idle(): Promise<void> {
    while (this.pending > 0) await Promise.all([this.hot.idle(), this.cold.idle()])
  }

  async #connect(): Promise<void> {
    if (this.#isClosed) return
    const path = this.#options.path()
    const socket = await dial(path, this.#options.remote)
    if (this.#isClosed) {
      socket.destroy()
      return
    }
    this.#path = path
    this.#socket = socket
    let why = 'it closed the connection'
    socket.on('error', (error) => {
      why = error.message
    })
    socket.on('close', () => this.#lost(socket, why))
    this.hot.use(socket)
    const words = this.#options.isHeir ? ['JOIN'] : []
    try {
      await this.#login(this.hot)
      const info = infoOf(await this.hot.greet('RC.OPEN', ...words))
      this.#options.attach(info)
      this.#begin(info)
    } catch (error) {
      socket.destroy()
      throw error
    }
  }

  #begin({ pid }: OwnerInfo): void {
    this.#isUp = true
    this.#upSinceMs = nowMs()
    publish('ramcache:owner:found', () => ({ socket: this.#path, pid }))
    this.hot.open()
    if (this.cold.waiting > 0) void this.#dialCold()
  }

  async #login(channel: Channel): Promise<void> {
    const password = this.#options.remote?.password
    if (password !== undefined) await channel.greet('AUTH', password)
  }

  #lost(socket: Socket, why: string): void {
    if (socket !== this.#socket) return
    const wasUp = this.#isUp
    this.#socket = undefined
    this.#isUp = false
    this.#why = why
    this.#coldSocket?.destroy()
    this.hot.lose(why)
    if (!wasUp || this.#isClosed) return
    publish('ramcache:owner:lost', () => ({ socket: this.#path, why }))
    if (nowMs() - this.#upSinceMs > steadyMs) this.#pauseMs = pauseMsFirst
    void this.#reconnect()
  }

  async #reconnect(): Promise<void> {
    while (!this.#isClosed) {
      try {
        await this.#options.whileDown()
        await this.#connect()
        return
      } catch (error) {
        this.#why = error instanceof Error ? error.message : String(error)
      }
      await this.#pause()
    }
  }

  /** Longer each time, and different for each process, so that they do not all come at once. */
  async #pause(): Promise<void> {
    const ms = this.#pauseMs * (0.5 + this.#prng.float())
    this.#pauseMs = Math.min(this.#pauseMs * 2, pauseMsMost)
    await new Promise<void>((resolve) => {
      setTimeout(resolve, ms).unref()
    })
  }

  async #dialCold(): Promise<void> {
    if (this.#isDialingCold || this.#coldSocket !== undefined) return
    this.#isDialingCold = true
    while (this.#isUp && this.cold.waiting > 0) {
      try {
        await this.#useCold(await dial(this.#path, this.#options.remote))
      } catch (error) {
        this.#why = (error as Error).message
        await this.#pause()
      }
    }
    this.#isDialingCold = false
  }

  async #useCold(socket: Socket): Promise<void> {
    if (!this.#isUp) {
      socket.destroy()
      return
    }
    this.#coldSocket = socket
    let why = 'it closed the connection'
    socket.on('error', (error) => {
      why = error.message
    })
    socket.on('close', () => {
      if (this.#coldSocket !== socket) return
      this.#coldSocket = undefined
      this.cold.lose(why)
    })
    this.cold.use(socket)
    try {
      await this.#login(this.cold)
    } catch (error) {
      socket.destroy()
      throw error
    }
    if (this.#coldSocket === socket) this.cold.open()
  }

  /** Runs while there is something that may wait for too long; only what does wait keeps the process alive. */
  #tick(): void {
    if (this.#isClosed) return
    this.#ticker ??= setInterval(() => this.#tick(), tickMs)
    this.hot.expire(this.#why)
    this.cold.expire(this.#why)
    if (this.#isUp && this.cold.waiting > 0) void this.#dialCold()
    if (this.#isOpening || this.hot.waiting + this.cold.waiting > 0) {
      this.#ticker.ref()
      return
    }
    clearInterval(this.#ticker)
    this.#ticker = undefined
  }
}

function nowMs(): number {
  return systemClock.monotonicUs() / 1000
}

function infoOf(reply: Reply): OwnerInfo {
  const words = listOf(reply, 'RC.OPEN')
  const fields = new Map<string, Reply>()
  for (let at = 0; at + 1 < words.length; at += 2) {
    fields.set(textOf(words[at], 'RC.OPEN'), words[at + 1] as Reply)
  }
  const text = (name: string) => textOf(fields.get(name), 'RC.OPEN')
  return {
    pid: numberOf(fields.get('pid'), 'RC.OPEN'),
    data: text('data'),
    touch: text('touch'),
    arenaId: text('arenaId'),
    budgetBytes: numberOf(fields.get('budgetBytes'), 'RC.OPEN'),
    hasTiers: numberOf(fields.get('hasTiers'), 'RC.OPEN') === 1,
    mode: text('mode') === 'daemon' ? 'daemon' : 'embedded',
  }
}
