/** Where a daemon listens beside its Unix socket, and how it knows who may use it. */
import { show } from '../base/errors.ts'
import { checkFields, configError } from './fields.ts'

/** @internal Paths are as they were given. */
export interface ValidatedTcp {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  readonly passwordFile: string | undefined
  /** PEM; `ca` has those who vouch for clients. */
  readonly tls: { readonly cert: string; readonly key: string; readonly ca: string | undefined } | undefined
}

/** Nobody on another machine, unless somebody says so. */
const usualHost = '127.0.0.1'

/** @internal `undefined`: it listens on its Unix socket only. Throws ERR_RAMCACHE_CONFIG. */
export function validateTcp(tcp: unknown): ValidatedTcp | undefined {
  if (tcp === undefined) return undefined
  checkFields(tcp, 'tcp', ['host', 'port', 'passwordFile', 'tls'])
  const { host = usualHost, port, passwordFile } = tcp
  if (port === undefined) {
    throw configError('tcp.port is missing: give --port, or leave out what belongs to it')
  }
  const tls = checkTls(tcp.tls)
  // TLS alone hides what is said, from everybody but those who connect.
  if (passwordFile === undefined && tls?.ca === undefined) {
    const ways =
      'a password (--password-file, tcp.passwordFile), or certificates of clients (--tls-ca, tcp.tls.ca)'
    throw configError(`tcp.port is ${show(port)}, and anybody could use it: it needs ${ways}`)
  }
  return {
    host: checkName(host, 'tcp.host'),
    port: checkPort(port),
    passwordFile: passwordFile === undefined ? undefined : checkName(passwordFile, 'tcp.passwordFile'),
    tls,
  }
}

function checkTls(tls: unknown): ValidatedTcp['tls'] {
  if (tls === undefined) return undefined
  checkFields(tls, 'tcp.tls', ['cert', 'key', 'ca'])
  const { cert, key, ca } = tls
  for (const [name, value] of Object.entries({ cert, key })) {
    if (value === undefined)
      throw configError(`tcp.tls.${name} is missing: give --tls-${name}, the path of a file`)
  }
  return {
    cert: checkName(cert, 'tcp.tls.cert'),
    key: checkName(key, 'tcp.tls.key'),
    ca: ca === undefined ? undefined : checkName(ca, 'tcp.tls.ca'),
  }
}

function checkName(value: unknown, name: string): string {
  if (typeof value === 'string' && value !== '') return value
  throw configError(`${name} must be a non-empty string, not ${show(value)}`)
}

/** A flag gives it as text. */
function checkPort(value: unknown): number {
  const port = typeof value === 'string' && /^\d{1,5}$/.test(value) ? Number(value) : value
  if (typeof port === 'number' && Number.isInteger(port) && port >= 0 && port <= 65_535) return port
  throw configError(`tcp.port must be a whole number from 0 (any free one) to 65535, not ${show(value)}`)
}

/** @internal Whether only this machine can connect there. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}
