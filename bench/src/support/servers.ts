/** Servers that benchmarks run against, each on a Unix socket of its own: ours, Redis, memcached. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, connect as connectSocket, createServer } from 'node:net'
import { setTimeout as after } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createClient } from 'redis'

const cli = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url))

export interface Server {
  readonly socket: string
  readonly pid: number
  stop(signal?: NodeJS.Signals): Promise<void>
}

/** What is not installed is left out, and said so. */
export function isInstalled(program: string): boolean {
  try {
    execFileSync('which', [program], { stdio: 'ignore' })
    return true
  } catch {
    console.log(`${program} is not installed (Debian: apt-get install ${program}): no rows beside it`)
    return false
  }
}

/** Resolves when it takes connections. */
async function begun(name: string, child: ChildProcess, at: string | number): Promise<Server> {
  // Whatever becomes of this process.
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  child.once('exit', () => process.off('exit', kill))
  let code: number | null | undefined
  child.once('exit', (status) => {
    code = status
  })
  while (!(await takesConnections(at))) {
    if (code !== undefined) throw new Error(`${name} ended with code ${code}`)
    await after(10)
  }
  return {
    socket: String(at),
    pid: child.pid as number,
    async stop(signal = 'SIGTERM') {
      if (code !== undefined) return
      const ended = once(child, 'exit')
      child.kill(signal)
      await ended
    },
  }
}

/** A path, or a port of this machine. */
function takesConnections(at: string | number): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = typeof at === 'string' ? connectSocket(at) : connectSocket(at, '127.0.0.1')
    connection.once('connect', () => resolve(true)).once('error', () => resolve(false))
    connection.once('connect', () => connection.destroy())
  })
}

export function startDaemon(dir: string, args: readonly string[]): Promise<Server> {
  const child = spawn(process.execPath, [cli, 'serve', '--dir', dir, '--log', 'error', ...args], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  return begun('ramcache serve', child, `${dir}/ramcache.sock`)
}

/** `args` beyond those for a socket alone and no persistence. */
export function startRedis(dir: string, args: readonly string[] = []): Promise<Server> {
  const socket = `${dir}/redis.sock`
  const usual = ['--port', '0', '--unixsocket', socket, '--dir', dir, '--save', '', '--appendonly', 'no']
  const child = spawn('redis-server', [...usual, ...args], { stdio: ['ignore', 'ignore', 'inherit'] })
  return begun('redis-server', child, socket)
}

/** Another client of the same server. */
export async function nodeRedisOf({ socket }: Server) {
  const client = createClient({ socket: { path: socket, tls: false } })
  await client.connect()
  return client
}

/** A client that takes a host and a port alone, and where its memcached listens. */
export async function startMemcachedTcp(): Promise<Server & { readonly address: string }> {
  const port = await freePort()
  const user = process.getuid?.() === 0 ? ['-u', 'root'] : []
  const child = spawn('memcached', ['-l', '127.0.0.1', '-p', String(port), ...user], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  return { ...(await begun('memcached', child, port)), address: `127.0.0.1:${port}` }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

export function startMemcached(dir: string, args: readonly string[]): Promise<Server> {
  const socket = `${dir}/memcached.sock`
  const user = process.getuid?.() === 0 ? ['-u', 'root'] : []
  const child = spawn('memcached', ['-s', socket, ...user, ...args], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  return begun('memcached', child, socket)
}

/**
 * Keeps the processors from sleeping with loops of the lowest priority, which give way to everybody: sockets answer
 * twice as fast then. Call what it returns to end it.
 */
export function keepAwake(processors: number): () => void {
  const loops = Array.from({ length: processors }, () =>
    spawn('chrt', ['--idle', '0', process.execPath, '-e', 'for (;;);'], { stdio: 'ignore' }),
  )
  return () => {
    for (const loop of loops) loop.kill('SIGKILL')
  }
}
