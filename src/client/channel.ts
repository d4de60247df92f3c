/**
 * Commands to the owner in the order in which they were given, over whatever connection there is.
 *
 * - Commands of one tick go out in one write, or in a few when they are many: the owner begins with the first while the
 *   last are being written. Nobody waits for the answer to the one before.
 * - A command is *unsent* until it is handed to a connection, then *sent* until it is answered. What was sent when a
 *   connection is lost may have been carried out: only what is repeatable, reads, is sent again; the others reject and
 *   say so.
 * - While there is no connection, commands wait until their deadline.
 * - The connection keeps the process alive only while there is something unanswered, as a store of its own does.
 */
import type { Socket } from 'node:net'
import { systemClock } from '../base/clock.ts'
import { RamcacheError } from '../base/errors.ts'
import { errorOf } from './commands.ts'
import { Fifo } from './fifo.ts'
import { type Argument, Outbox, type Piece } from './outbox.ts'
import { ErrorReply, Push, type Reply, ReplyParser } from './replies.ts'

/** Bytes of commands without an answer, unless told otherwise. One may be longer, alone. */
const queueBytesMaxUsual = 256 * 1024 * 1024
/** So many bytes do not wait for the end of the tick. */
const readyBytes = 16 * 1024

/** What a reply means to who waits for it. */
type Read<T> = (reply: Reply, command: string) => T

class Command {
  readonly name: string
  readonly piece: Piece
  readonly isRepeatable: boolean
  readonly #read: Read<unknown> | undefined
  readonly #resolve: (value: never) => void
  readonly reject: (error: unknown) => void
  /** On the monotonic clock, for one that waits for a connection. */
  deadlineMs: number

  constructor(
    name: string,
    piece: Piece,
    isRepeatable: boolean,
    deadlineMs: number,
    read: Read<unknown> | undefined,
    resolve: (value: never) => void,
    reject: (error: unknown) => void,
  ) {
    this.name = name
    this.piece = piece
    this.isRepeatable = isRepeatable
    this.deadlineMs = deadlineMs
    this.#read = read
    this.#resolve = resolve
    this.reject = reject
  }

  answer(reply: Reply): void {
    if (reply instanceof ErrorReply) {
      this.reject(errorOf(reply, this.name))
      return
    }
    try {
      this.#resolve((this.#read === undefined ? reply : this.#read(reply, this.name)) as never)
    } catch (error) {
      this.reject(error)
    }
  }

  get bytes(): number {
    return this.piece.end - this.piece.start
  }
}

export interface ChannelOptions {
  /** How long a command waits for a connection. */
  readonly timeoutMs: number
  readonly queueBytesMax?: number | undefined
  /** Called when a command begins to wait for a connection. */
  onWaiting(): void
}

export class Channel {
  readonly #options: ChannelOptions
  #socket: Socket | undefined
  /** Commands may be sent: whoever is at the other end has been asked who it is. */
  #isOpen = false
  #parser = new ReplyParser()
  readonly #outbox = new Outbox()
  #unsent: Command[] = []
  #unsentBytes = 0
  readonly #sent = new Fifo<Command>()
  #bytes = 0
  #isFlushing = false
  #closed: RamcacheError | undefined
  #onIdle: (() => void)[] = []
  /** Called with what the owner says without having been asked. */
  onPush: (items: readonly Reply[]) => void = () => {}
  /** Called when a connection is gone, or the channel is closed. */
  onLost: () => void = () => {}

  constructor(options: ChannelOptions) {
    this.#options = options
  }

  /** Commands without an answer. */
  get pending(): number {
    return this.#unsent.length + this.#sent.length
  }

  /** Whether commands go out at once. Where they do not, a connection is looked for from now on. */
  reach(): boolean {
    if (!this.#isOpen && this.#closed === undefined) this.#options.onWaiting()
    return this.#isOpen
  }

  /** Those among them that no connection was there for. */
  get waiting(): number {
    return this.#isOpen ? 0 : this.#unsent.length
  }

  /**
   * Arguments are taken over at once. Resolves to the reply, or to what `read` makes of it. Rejects with the owner's
   * error, or with ERR_RAMCACHE_UNAVAILABLE.
   */
  request(name: string, args: readonly Argument[], isRepeatable: boolean): Promise<Reply>
  request<T>(name: string, args: readonly Argument[], isRepeatable: boolean, read: Read<T>): Promise<T>
  request<T>(
    name: string,
    args: readonly Argument[],
    isRepeatable: boolean,
    read?: Read<T>,
  ): Promise<Reply | T> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed)
    const piece = this.#outbox.add(name, args)
    const bytes = piece.end - piece.start
    const { queueBytesMax = queueBytesMaxUsual } = this.#options
    if (this.#bytes > 0 && this.#bytes + bytes > queueBytesMax) {
      const message = `${name} was not carried out: ${this.#bytes} bytes of commands wait for the owner already, the limit is ${queueBytesMax}`
      return Promise.reject(new RamcacheError('ERR_RAMCACHE_UNAVAILABLE', message))
    }
    return new Promise((resolve, reject) => {
      const deadlineMs = this.#isOpen ? 0 : nowMs() + this.#options.timeoutMs
      this.#unsent.push(new Command(name, piece, isRepeatable, deadlineMs, read, resolve, reject))
      this.#bytes += bytes
      this.#unsentBytes += bytes
      if (!this.#isOpen) this.#options.onWaiting()
      else if (this.#unsentBytes >= readyBytes) this.#flush()
      else this.#schedule()
    })
  }

  /** Takes a new connection into use. Nothing is sent over it before `open`, but what `greet` sends. */
  use(socket: Socket): void {
    this.#socket = socket
    this.#parser = new ReplyParser()
    socket.on('data', (bytes: Buffer) => this.#receive(socket, bytes))
  }

  /** Sends a command ahead of all others. */
  greet(name: string, ...args: Argument[]): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const command = new Command(name, this.#outbox.add(name, args), false, 0, undefined, resolve, reject)
      this.#sent.push(command)
      this.#bytes += command.bytes
      this.#socket?.write(bytesOf(command.piece))
    })
  }

  /** From now on commands go out over the connection. */
  open(): void {
    this.#isOpen = true
    if (this.#unsent.length > 0) this.#schedule()
    else if (this.pending === 0) this.#socket?.unref()
  }

  /** The connection is gone. */
  lose(why: string): void {
    if (this.#socket === undefined) return
    this.#socket = undefined
    this.#isOpen = false
    const again: Command[] = []
    for (let command = this.#sent.shift(); command !== undefined; command = this.#sent.shift()) {
      if (command.isRepeatable) {
        again.push(command)
        continue
      }
      this.#bytes -= command.bytes
      const message = `the connection to the owner of the store was lost before ${command.name} was answered (${why}): it may or may not have been carried out`
      command.reject(new RamcacheError('ERR_RAMCACHE_UNAVAILABLE', message))
    }
    this.#unsent = [...again, ...this.#unsent]
    this.#unsentBytes = 0
    const deadlineMs = nowMs() + this.#options.timeoutMs
    for (const command of this.#unsent) command.deadlineMs = deadlineMs
    if (this.#unsent.length > 0) this.#options.onWaiting()
    else this.#idle()
    this.onLost()
  }

  /** Rejects what has waited for a connection for too long. */
  expire(why: string): void {
    if (this.#isOpen) return
    const now = nowMs()
    const late = this.#unsent.filter((command) => command.deadlineMs <= now)
    if (late.length === 0) return
    this.#unsent = this.#unsent.filter((command) => command.deadlineMs > now)
    for (const command of late) {
      this.#bytes -= command.bytes
      const message = `${command.name} was not carried out: no owner of the store was to be reached for ${this.#options.timeoutMs} ms (${why})`
      command.reject(new RamcacheError('ERR_RAMCACHE_UNAVAILABLE', message))
    }
    if (this.pending === 0) this.#idle()
  }

  /** Rejects everything, now and later. */
  close(error: RamcacheError): void {
    this.#closed = error
    const unanswered = [...this.#unsent]
    for (let command = this.#sent.shift(); command !== undefined; command = this.#sent.shift()) {
      unanswered.push(command)
    }
    this.#unsent = []
    this.#bytes = 0
    this.#socket?.destroy()
    this.#socket = undefined
    for (const command of unanswered) command.reject(error)
    this.#idle()
    this.onLost()
  }

  /** Resolves as soon as nothing is unanswered. */
  async idle(): Promise<void> {
    if (this.pending > 0) await new Promise<void>((resolve) => this.#onIdle.push(resolve))
  }

  #idle(): void {
    this.#socket?.unref()
    for (const resolve of this.#onIdle.splice(0)) resolve()
  }

  #schedule(): void {
    if (this.#isFlushing) return
    this.#isFlushing = true
    process.nextTick(() => {
      this.#isFlushing = false
      this.#flush()
    })
  }

  /** Commands that stand one behind the other in a block are one write. */
  #flush(): void {
    const socket = this.#socket
    if (socket === undefined || !this.#isOpen) return
    const commands = this.#unsent
    if (commands.length > 0) socket.ref()
    this.#unsent = []
    this.#unsentBytes = 0
    let ready: Piece | undefined
    for (const command of commands) {
      this.#sent.push(command)
      const { piece } = command
      if (ready === undefined) ready = piece
      else if (ready.block === piece.block && ready.end === piece.start) {
        ready = { block: ready.block, start: ready.start, end: piece.end }
      } else {
        socket.write(bytesOf(ready))
        ready = piece
      }
    }
    if (ready !== undefined) socket.write(bytesOf(ready))
  }

  #receive(socket: Socket, bytes: Buffer): void {
    if (socket !== this.#socket) return
    let replies: Reply[]
    try {
      replies = this.#parser.push(bytes)
    } catch (error) {
      socket.destroy(error as Error)
      return
    }
    for (const reply of replies) {
      if (reply instanceof Push) {
        this.onPush(reply.items)
        continue
      }
      const command = this.#sent.shift()
      if (command === undefined) {
        socket.destroy(new Error('an answer to nothing'))
        return
      }
      this.#bytes -= command.bytes
      command.answer(reply)
    }
    if (this.pending === 0) this.#idle()
  }
}

function bytesOf({ block, start, end }: Piece): Buffer {
  return block.subarray(start, end)
}

function nowMs(): number {
  return systemClock.monotonicUs() / 1000
}
