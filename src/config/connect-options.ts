/** Options of `connect()`, and where a URL leads. */
import { resolve } from 'node:path'
import { show } from '../base/errors.ts'
import { checkFields, configError } from './fields.ts'
import { checkFrozen, validateNearEntries, validateOwnerTimeout } from './open-options.ts'
import type { ConnectTlsOptions } from './options.ts'

/** @internal What `node:tls` takes. */
export type ValidatedTls = ConnectTlsOptions

/** @internal */
export interface ValidatedConnect {
  /** Of the socket; over TCP its URL without the password. */
  readonly path: string
  readonly remote?: {
    readonly host: string
    readonly port: number
    readonly password: string | undefined
    readonly tls: ValidatedTls | undefined
  }
  readonly ownerTimeoutMs: number
  readonly nearEntries: number
  readonly isFrozen: boolean
}

const usualPort = 6379
const tlsFields = ['ca', 'cert', 'key', 'passphrase', 'servername', 'rejectUnauthorized'] as const

/** @internal Throws ERR_RAMCACHE_CONFIG. */
export function validateConnect(url: unknown, options: unknown): ValidatedConnect {
  if (typeof url !== 'string' || url === '') {
    throw configError(
      `connect() needs the path of a socket, unix:// and the path, or redis://HOST:PORT, not ${show(url)}`,
    )
  }
  const [, scheme = '', rest = ''] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(url) ?? []
  const isTcp = /^rediss?$/i.test(scheme)
  const path = isTcp ? '' : socketPath(url, scheme, rest)
  const given = options === undefined ? {} : options
  checkFields(given, 'connect()', ['ownerTimeout', 'nearEntries', 'frozen', 'password', 'tls'])
  if (!isTcp) {
    for (const name of ['password', 'tls']) {
      if (given[name] !== undefined) {
        throw configError(
          `the option ${name} of connect() is for redis:// and rediss://, not for ${show(url)}`,
        )
      }
    }
  }
  return {
    path,
    ...(isTcp ? tcpOf(url, given) : {}),
    ownerTimeoutMs: validateOwnerTimeout(given.ownerTimeout, 'connect()'),
    nearEntries: validateNearEntries(given.nearEntries),
    isFrozen: checkFrozen(given.frozen, 'connect()') ?? false,
  }
}

function socketPath(url: string, scheme: string, rest: string): string {
  if (scheme === '') return resolve(url)
  if (scheme.toLowerCase() !== 'unix') {
    throw configError(`connect() knows unix://, redis:// and rediss://, not ${scheme}://`)
  }
  if (!rest.startsWith('/')) throw configError(`unix:// is followed by an absolute path, not ${show(url)}`)
  return decodePart(rest, show(url))
}

function decodePart(part: string, where: string): string {
  try {
    return decodeURIComponent(part)
  } catch (error) {
    throw configError(`${where} has a % that begins no character`, error)
  }
}

/** What is wrong with the URL is said without it: it may hold a password. */
function tcpOf(text: string, given: Record<string, unknown>): Pick<ValidatedConnect, 'path' | 'remote'> {
  const url = parsed(text)
  const scheme = url.protocol.toLowerCase()
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  const port = url.port === '' ? usualPort : Number(url.port)
  const path = `${scheme}//${url.hostname}:${port}`
  if (host === '' || port === 0) throw configError(`${scheme}// is followed by HOST or HOST:PORT`)
  const user = decodePart(url.username, `the user of ${path}`)
  if (user !== '' && user !== 'default')
    throw configError(`${path} knows the user default, not ${show(user)}`)
  if (!/^\/?0?$/.test(url.pathname) || url.search !== '' || url.hash !== '') {
    throw configError(`${path} is not followed by anything: use namespace() for what Redis has databases for`)
  }
  if (given.nearEntries !== undefined) {
    throw configError(
      'the option nearEntries of connect() is for shared memory, which there is none of over TCP',
    )
  }
  const isTls = scheme === 'rediss:'
  if (given.tls !== undefined && !isTls) throw configError('the option tls of connect() is for rediss://')
  const inUrl = decodePart(url.password, `the password of ${path}`)
  const password = checkPassword(given.password) ?? (inUrl === '' ? undefined : inUrl)
  return { path, remote: { host, port, password, tls: isTls ? checkTls(given.tls, host) : undefined } }
}

function parsed(text: string): URL {
  try {
    return new URL(text)
  } catch {
    throw configError('connect() was given a redis:// URL that is none: redis://[:PASSWORD@]HOST[:PORT]')
  }
}

function checkPassword(password: unknown): string | undefined {
  if (password === undefined || (typeof password === 'string' && password !== '')) return password
  throw configError(`the option password of connect() must be a non-empty string, not a ${typeof password}`)
}

function checkTls(tls: unknown, host: string): ValidatedTls {
  if (tls === undefined) return named({}, host)
  checkFields(tls, 'tls of connect()', tlsFields)
  const { servername, rejectUnauthorized } = tls
  if (servername !== undefined && typeof servername !== 'string') {
    throw configError(`tls.servername of connect() must be a string, not ${show(servername)}`)
  }
  if (rejectUnauthorized !== undefined && typeof rejectUnauthorized !== 'boolean') {
    throw configError(
      `tls.rejectUnauthorized of connect() must be true or false, not ${show(rejectUnauthorized)}`,
    )
  }
  // Certificates and keys are judged by node:tls, when they are used.
  const given = Object.entries(tls).filter(([, value]) => value !== undefined)
  return named(Object.fromEntries(given), host)
}

/** The name that a certificate must have; addresses are not sent as one. */
function named(tls: ValidatedTls, host: string): ValidatedTls {
  const isAddress = /^[\d.]+$/.test(host) || host.includes(':')
  return tls.servername !== undefined || isAddress ? tls : { ...tls, servername: host }
}
