/** As much of memcached's text protocol as is measured: get and set over one connection, answers in order. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

type Waiting = (answer: Buffer | undefined) => void

export class Memcached {
  readonly #socket: Socket
  #received: Buffer = Buffer.alloc(0)
  readonly #waiting: Waiting[] = []

  static async open(path: string): Promise<Memcached> {
    const socket = connect(path)
    await once(socket, 'connect')
    return new Memcached(socket)
  }

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (bytes: Buffer) => {
      this.#received = this.#received.length === 0 ? bytes : Buffer.concat([this.#received, bytes])
      while (this.#takeAnswer()) {}
    })
  }

  get(key: string): Promise<Buffer | undefined> {
    this.#socket.write(`get ${key}\r\n`)
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  async set(key: string, value: Buffer): Promise<void> {
    this.#socket.cork()
    this.#socket.write(`set ${key} 0 0 ${value.length}\r\n`)
    this.#socket.write(value)
    this.#socket.write('\r\n')
    this.#socket.uncork()
    const answer = await new Promise<Buffer | undefined>((resolve) => this.#waiting.push(resolve))
    if (answer?.toString() !== 'STORED') throw new Error(`memcached: ${answer}`)
  }

  close(): void {
    this.#socket.destroy()
  }

  #takeAnswer(): boolean {
    const end = this.#received.indexOf('\r\n')
    if (end < 0) return false
    const line = this.#received.toString('latin1', 0, end)
    if (!line.startsWith('VALUE ')) {
      this.#take(end + 2, line === 'END' ? undefined : this.#received.subarray(0, end))
      return true
    }
    const bytes = Number(line.split(' ')[3])
    // The value, and the line END after it.
    const length = end + 2 + bytes + 2 + 5
    if (this.#received.length < length) return false
    this.#take(length, this.#received.subarray(end + 2, end + 2 + bytes))
    return true
  }

  #take(length: number, answer: Buffer | undefined): void {
    this.#received = this.#received.subarray(length)
    this.#waiting.shift()?.(answer)
  }
}
