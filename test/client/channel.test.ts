/** Commands to the owner, over a real socket whose other end answers everything with OK. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { Channel } from '../../src/client/channel.ts'
import { ReplyParser } from '../../src/client/replies.ts'
import { testFolder } from '../support/folders.ts'

it.each([10, 20_000, 1_000_000])(
  'keeps the process alive until a command of %i bytes is answered',
  async (bytes) => {
    const path = join(testFolder(), 'socket')
    const server = createServer((other) => {
      const parser = new ReplyParser()
      other.on('data', (data) => other.write('+OK\r\n'.repeat(parser.push(data).length)))
    }).listen(path)
    onTestFinished(() => void server.close())
    await once(server, 'listening')
    const socket = connect(path)
    await once(socket, 'connect')
    const keepsAlive = () => (socket as Socket & { _handle: { hasRef(): boolean } })._handle.hasRef()
    const channel = new Channel({ timeoutMs: 60_000, onWaiting: () => {} })
    channel.use(socket)
    channel.open()
    expect(keepsAlive()).toBe(false)
    const answers = [1, 2].map(() => channel.request('RC.X', ['x'.repeat(bytes)], false))
    // What is short goes out at the end of the tick.
    await new Promise<void>((resolve) => process.nextTick(resolve))
    expect(keepsAlive()).toBe(true)
    expect(await Promise.all(answers)).toEqual(['OK', 'OK'])
    await channel.idle()
    expect(keepsAlive()).toBe(false)
    socket.destroy()
  },
)
