/** A raw connection to a server, and a reader of RESP that gives replies as they stand on the wire. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'

/** An error reply. */
export class ErrorReply {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

export type Reply = string | number | null | boolean | ErrorReply | Reply[] | Map<Reply, Reply> | Push

/** What the server sends without being asked. */
export class Push {
  readonly items: Reply[]
  constructor(items: Reply[]) {
    this.items = items
  }
}

/** Where the owner of a directory says that it listens. */
export function socketOf(dir: string): string {
  return (JSON.parse(readFileSync(join(dir, 'owner'), 'utf8')) as { socket: string }).socket
}

export class Wire {
  readonly socket: Socket
  #received = Buffer.alloc(0)
  #at = 0
  #ended = false
  #wake: () => void = () => {}

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (bytes: Buffer) => {
      this.#received = Buffer.concat([this.#received, bytes])
      this.#wake()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      this.#ended = true
      this.#wake()
    })
  }

  static async open(path: string): Promise<Wire> {
    const socket = connect(path)
    await once(socket, 'connect')
    return new Wire(socket)
  }

  /** Sends a command and reads its reply. */
  async ask(...args: (string | Buffer | number)[]): Promise<Reply> {
    this.send(...args)
    return this.read()
  }

  send(...args: (string | Buffer | number)[]): void {
    this.socket.write(encode(args))
  }

  write(bytes: string | Buffer): void {
    this.socket.write(bytes)
  }

  /** Bytes that have come and are not read. */
  get waiting(): number {
    return this.#received.length - this.#at
  }

  /** The next reply; throws when the connection ends before it. Bulks are latin1 strings, so that no byte is lost. */
  async read(): Promise<Reply> {
    for (;;) {
      const start = this.#at
      const reply = this.#parse()
      if (reply !== undefined) {
        this.#received = this.#received.subarray(this.#at)
        this.#at = 0
        return reply
      }
      this.#at = start
      if (this.#ended) throw new Error('the connection has ended')
      await new Promise<void>((wake) => {
        this.#wake = wake
      })
    }
  }

  async ended(): Promise<void> {
    if (!this.#ended) await once(this.socket, 'close')
  }

  close(): void {
    this.socket.destroy()
  }

  #line(): string | undefined {
    const end = this.#received.indexOf('\r\n', this.#at)
    if (end < 0) return undefined
    const line = this.#received.toString('latin1', this.#at, end)
    this.#at = end + 2
    return line
  }

  #items(count: number): Reply[] | undefined {
    const items: Reply[] = []
    for (let index = 0; index < count; index++) {
      const item = this.#parse()
      if (item === undefined) return undefined
      items.push(item)
    }
    return items
  }

  #parse(): Reply | undefined {
    const line = this.#line()
    if (line === undefined) return undefined
    const rest = line.slice(1)
    const count = Number(rest)
    switch (line[0]) {
      case '+':
        return rest
      case '-':
        return new ErrorReply(rest)
      case ':':
      case ',':
        return count
      case '_':
        return null
      case '#':
        return rest === 't'
      case '$':
      case '=': {
        if (count < 0) return null
        if (this.#received.length < this.#at + count + 2) return undefined
        const text = this.#received.toString('latin1', this.#at, this.#at + count)
        this.#at += count + 2
        return line[0] === '=' ? text.slice(4) : text
      }
      case '*':
      case '~':
        return count < 0 ? null : this.#items(count)
      case '>': {
        const items = this.#items(count)
        return items && new Push(items)
      }
      case '%': {
        const items = this.#items(count * 2)
        if (items === undefined) return undefined
        const map = new Map<Reply, Reply>()
        for (let at = 0; at < items.length; at += 2) map.set(items[at] as Reply, items[at + 1] as Reply)
        return map
      }
      default:
        throw new Error(`no reply begins like ${JSON.stringify(line)}`)
    }
  }
}

export function encode(args: readonly (string | Buffer | number)[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${args.length}\r\n`)]
  for (const arg of args) {
    const bytes = typeof arg === 'object' ? arg : Buffer.from(String(arg))
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'))
  }
  return Buffer.concat(parts)
}
