/** A connection to the owner of a store: a Unix socket, TCP or TLS. It does not keep the process alive by itself. */
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { RamcacheError } from '../base/errors.ts'
import type { ValidatedTls } from '../config/connect-options.ts'

/** Where an owner listens over TCP. */
export interface RemoteAddress {
  readonly host: string
  readonly port: number
  /** Said before anything else. */
  readonly password: string | undefined
  /** `undefined`: no TLS. */
  readonly tls: ValidatedTls | undefined
}

/** How long a connection is silent before the system asks whether the other side is still there. */
const keepAliveMs = 60_000

/** `name` is for messages, and the path of a Unix socket. Rejects with ERR_RAMCACHE_UNAVAILABLE. */
export function dial(name: string, remote: RemoteAddress | undefined): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = begin(name, remote)
    socket.unref()
    const fail = (error: NodeJS.ErrnoException) => {
      const message = `no owner of the store is to be reached at ${name}: ${error.message}`
      reject(new RamcacheError('ERR_RAMCACHE_UNAVAILABLE', message, error))
    }
    socket.once('error', fail)
    socket.once(remote?.tls === undefined ? 'connect' : 'secureConnect', () => {
      socket.off('error', fail)
      resolve(socket)
    })
  })
}

function begin(path: string, remote: RemoteAddress | undefined): Socket {
  if (remote === undefined) return connect({ path })
  const { host, port, tls } = remote
  const settings = { host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: keepAliveMs }
  if (tls === undefined) return connect(settings)
  try {
    return connectTls({ ...settings, ...tls })
  } catch (error) {
    const message = `tls of connect() is of no use: ${(error as Error).message}`
    throw new RamcacheError('ERR_RAMCACHE_CONFIG', message, error)
  }
}
