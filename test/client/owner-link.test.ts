/** The link against an owner that answers by a script: order, batches, lost connections, deadlines. */
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type LinkOptions, OwnerLink } from '../../src/client/owner-link.ts'
import { type Reply, ReplyParser } from '../../src/client/replies.ts'
import { failure } from '../support/errors.ts'
import { testFolder } from '../support/folders.ts'

/** Collects what it is sent; answers only to RC.OPEN by itself. */
class ScriptedOwner {
  readonly path: string
  readonly sockets: Socket[] = []
  /** Commands with the number of their connection, and how many pieces they came in. */
  readonly commands: [socket: number, ...words: string[]][] = []
  pieces = 0
  greets = true
  #server: Server | undefined
  #changed = () => {}

  constructor(path: string) {
    this.path = path
  }

  async listen(): Promise<void> {
    this.#server = createServer((socket) => this.#serve(socket)).listen(this.path)
    await once(this.#server, 'listening')
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy()
    const server = this.#server
    this.#server = undefined
    if (server !== undefined) await new Promise((closed) => server.close(closed))
  }

  #serve(socket: Socket): void {
    const number = this.sockets.push(socket) - 1
    const parser = new ReplyParser()
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      this.pieces++
      for (const command of parser.push(bytes) as Buffer[][]) {
        const words = command.map(String)
        if (words[0] === 'RC.OPEN') this.#greet(socket)
        else this.commands.push([number, ...words])
      }
      this.#changed()
    })
    this.#changed()
  }

  #greet(socket: Socket): void {
    if (!this.greets) return
    const words = [
      'pid',
      '7',
      'data',
      '/d',
      'touch',
      '/t',
      'arenaId',
      'a',
      'budgetBytes',
      '1000000',
      'hasTiers',
      '1',
      'mode',
      'embedded',
    ]
    socket.write(`*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`)
  }

  /** Resolves when that is so; looked at whenever something comes. */
  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) {
      await new Promise<void>((resolve) => {
        this.#changed = resolve
      })
    }
  }
}

let owner: ScriptedOwner
let links: OwnerLink[]

beforeEach(async () => {
  links = []
  owner = new ScriptedOwner(join(testFolder(), 'socket'))
  await owner.listen()
})

afterEach(async () => {
  for (const link of links) await link.close(0)
  await owner.close()
})

function link(options: Partial<LinkOptions> = {}): OwnerLink {
  const made = new OwnerLink({
    timeoutMs: 60_000,
    isHeir: false,
    path: () => owner.path,
    attach: () => {},
    whileDown: () => Promise.resolve(),
    ...options,
  })
  links.push(made)
  return made
}

async function opened(options: Partial<LinkOptions> = {}): Promise<OwnerLink> {
  const made = link(options)
  await made.open()
  return made
}

/** Until the link has seen that its connection is gone. */
async function seenDown(made: OwnerLink): Promise<void> {
  while (made.isUp) await nextTurn()
}

describe('commands', () => {
  it('of one tick go out in one write, and are answered in order', async () => {
    const { hot } = await opened()
    const before = owner.pieces
    const replies = Array.from({ length: 100 }, (_, n) => hot.request('RC.SET', [n], false))
    await owner.until(() => owner.commands.length === 100)
    expect(owner.pieces).toBe(before + 1)
    expect(owner.commands.map((words) => words[2])).toEqual(Array.from({ length: 100 }, (_, n) => `${n}`))
    const answers = Array.from({ length: 100 }, (_, n) => (n === 50 ? '-RC FULL no room\r\n' : `:${n}\r\n`))
    owner.sockets[0]?.write(answers.join(''))
    const settled = await Promise.allSettled(replies)
    for (const [n, answer] of settled.entries()) {
      if (n !== 50) expect(answer).toEqual({ status: 'fulfilled', value: n })
      else expect(answer).toMatchObject({ reason: { code: 'ERR_RAMCACHE_FULL', message: 'no room' } })
    }
  })

  it('take over their arguments at once', async () => {
    const { hot } = await opened()
    const bytes = Buffer.from('before')
    const reply = hot.request('RC.SET', [bytes], false)
    bytes.fill('x')
    await owner.until(() => owner.commands.length === 1)
    expect(owner.commands).toEqual([[0, 'RC.SET', 'before']])
    owner.sockets[0]?.write('+OK\r\n')
    await reply
  })

  it('for cold reads have a connection of their own, made when it is needed', async () => {
    const { hot, cold } = await opened()
    const replies = [cold.request('RC.GET', ['k'], true), hot.request('RC.SET', ['k'], false)]
    await owner.until(() => owner.commands.length === 2)
    expect([...owner.commands].sort()).toEqual([[0, 'RC.SET', 'k'], [1, 'RC.GET', 'k']]) // biome-ignore format: one line
    owner.sockets[0]?.write(':1\r\n')
    expect(await replies[1]).toBe(1)
    owner.sockets[1]?.write('$-1\r\n')
    expect(await replies[0]).toBe(null)
  })

  it('that nobody knows are named', async () => {
    const { hot } = await opened()
    const reply = hot.request('RC.NEW', [], false)
    await owner.until(() => owner.commands.length === 1)
    owner.sockets[0]?.write('-ERR unknown command\r\n')
    const error = await failure('ERR_RAMCACHE_UNAVAILABLE', () => reply)
    expect(error.message).toMatch(/RC\.NEW.*unknown command/)
  })

  it('are refused when too much waits already', async () => {
    const queueBytesMax = 100_000
    const { hot } = await opened({ queueBytesMax })
    const half = Buffer.alloc(queueBytesMax / 2)
    const first = [hot.request('RC.SET', [half], false), hot.request('RC.SET', ['small'], false)]
    const error = await failure('ERR_RAMCACHE_UNAVAILABLE', () => hot.request('RC.SET', [half], false))
    expect(error.message).toContain(`${queueBytesMax}`)
    await owner.until(() => owner.commands.length === 2)
    owner.sockets[0]?.write(':1\r\n:2\r\n')
    expect(await Promise.all(first)).toEqual([1, 2])
  })
})

describe('a connection that is lost', () => {
  it('takes the writes with it that were sent; what was not sent, and reads, go to the next one', async () => {
    const { hot } = await opened()
    const replies = [
      hot.request('RC.SET', ['answered'], false),
      hot.request('RC.SET', ['sent'], false),
      hot.request('RC.STATS', [], true),
    ]
    await owner.until(() => owner.commands.length === 3)
    owner.sockets[0]?.write(':1\r\n$3\r\nab')
    expect(await replies[0]).toBe(1)
    owner.sockets[0]?.destroy()
    const error = await failure('ERR_RAMCACHE_UNAVAILABLE', () => replies[1])
    expect(error.message).toContain('may or may not have been carried out')
    const later = hot.request('RC.SET', ['later'], false)
    await owner.until(() => owner.commands.length === 5)
    expect(owner.commands.slice(3)).toEqual([[1, 'RC.STATS'], [1, 'RC.SET', 'later']]) // biome-ignore format: one line
    owner.sockets[1]?.write('$1\r\nx\r\n:2\r\n')
    expect(await replies[2]).toEqual(Buffer.from('x'))
    expect(await later).toBe(2)
  })

  it('is made again however often, in the middle of whatever it was doing', async () => {
    const { hot } = await opened()
    const told: string[] = []
    for (let round = 0; round < 20; round++) {
      const replies = Array.from({ length: 10 }, (_, n) => hot.request('RC.SET', [`${round}/${n}`], false))
      const count = owner.commands.length
      await owner.until(() => owner.commands.length === count + 10)
      const answered = round % 10
      const socket = owner.sockets.at(-1) as Socket
      socket.end(':1\r\n'.repeat(answered))
      const settled = await Promise.allSettled(replies)
      expect(settled.map(({ status }) => status)).toEqual(
        settled.map((_, n) => (n < answered ? 'fulfilled' : 'rejected')),
      )
      told.push(...settled.map((_, n) => `${round}/${n}`))
    }
    // Nothing was sent a second time.
    expect(owner.commands.map((words) => words[2])).toEqual(told)
  })

  it('in the middle of a cold read is made again for it', async () => {
    const { cold } = await opened()
    const reply = cold.request('RC.GET', ['k'], true)
    await owner.until(() => owner.commands.length === 1)
    owner.sockets[1]?.destroy()
    await owner.until(() => owner.commands.length === 2)
    owner.sockets[2]?.write('$-1\r\n')
    expect(await reply).toBe(null)
  })

  it('to somebody who sends nonsense is given up', async () => {
    const { hot } = await opened()
    const reply = hot.request('RC.SET', ['k'], false)
    await owner.until(() => owner.commands.length === 1)
    owner.sockets[0]?.write('?\r\n')
    const error = await failure('ERR_RAMCACHE_UNAVAILABLE', () => reply)
    expect(error.message).toContain('the owner of the store sent')
  })
})

describe('without an owner', () => {
  it('opening fails, and says where', async () => {
    await owner.close()
    const error = await failure('ERR_RAMCACHE_UNAVAILABLE', () => link().open())
    expect(error.message).toContain(owner.path)
  })

  it('opening fails when nothing is answered', async () => {
    owner.greets = false
    const error = await failure('ERR_RAMCACHE_UNAVAILABLE', () => link({ timeoutMs: 20 }).open())
    expect(error.message).toContain('20 ms')
  })

  it('commands wait for the next one', async () => {
    const made = await opened()
    await owner.close()
    await seenDown(made)
    const reply = made.hot.request('RC.SET', ['k'], false)
    await owner.listen()
    await owner.until(() => owner.commands.length === 1)
    owner.sockets.at(-1)?.write(':1\r\n')
    expect(await reply).toBe(1)
  })

  it('commands reject after their time, with the news that they were not carried out', async () => {
    // Long enough for opening on a busy machine.
    const made = await opened({ timeoutMs: 2000 })
    await owner.close()
    await seenDown(made)
    const calls = [made.hot.request('RC.SET', ['k'], false), made.cold.request('RC.GET', ['k'], true)]
    for (const { reason } of (await Promise.allSettled(calls)) as PromiseRejectedResult[]) {
      expect(reason.code).toBe('ERR_RAMCACHE_UNAVAILABLE')
      expect(reason.message).toMatch(/was not carried out: .* 2000 ms/)
    }
  })

  it('nothing is sent before its arena is attached', async () => {
    let attempts = 0
    const attach = () => {
      attempts++
      if (attempts === 2) throw new Error('no such arena')
    }
    const made = await opened({ attach })
    owner.sockets[0]?.destroy()
    await seenDown(made)
    const reply = made.hot.request('RC.SET', ['k'], false)
    await owner.until(() => owner.commands.length === 1)
    expect(attempts).toBe(3)
    expect(owner.commands).toEqual([[2, 'RC.SET', 'k']])
    owner.sockets[2]?.write(':1\r\n')
    await reply
  })
})

describe('closing', () => {
  it('waits for answers that can come', async () => {
    const made = await opened()
    const reply: Promise<Reply> = made.hot.request('RC.SET', ['k'], false)
    const closed = made.close(60_000)
    await owner.until(() => owner.commands.length === 1)
    owner.sockets[0]?.write(':1\r\n')
    await closed
    expect(await reply).toBe(1)
    await failure('ERR_RAMCACHE_CLOSED', () => made.hot.request('RC.SET', ['k'], false))
  })

  it('does not wait without an owner, or for one that does not answer', async () => {
    const made = await opened()
    const reply = made.hot.request('RC.SET', ['k'], false)
    const [told] = await Promise.all([failure('ERR_RAMCACHE_CLOSED', () => reply), made.close(20)])
    expect(told.message).toContain('closed')
    const other = await opened()
    await owner.close()
    await seenDown(other)
    const waiting = other.hot.request('RC.SET', ['k'], false)
    await Promise.all([failure('ERR_RAMCACHE_CLOSED', () => waiting), other.close(60_000)])
  })
})
