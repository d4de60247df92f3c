/** Options of `connect()`, and where a URL leads. */
import { resolve } from 'node:path'
import { show } from '../base/errors.ts'
import { checkFields, configError, notSupported } from './fields.ts'
import { checkFrozen, validateNearEntries, validateOwnerTimeout } from './open-options.ts'

/** @internal */
export interface ValidatedConnect {
  /** Of the socket. */
  readonly path: string
  readonly ownerTimeoutMs: number
  readonly nearEntries: number
  readonly isFrozen: boolean
}

/** @internal Throws ERR_RAMCACHE_CONFIG. */
export function validateConnect(url: unknown, options: unknown): ValidatedConnect {
  const path = socketPath(url)
  const given = options === undefined ? {} : options
  checkFields(given, 'connect()', ['ownerTimeout', 'nearEntries', 'frozen'])
  return {
    path,
    ownerTimeoutMs: validateOwnerTimeout(given.ownerTimeout, 'connect()'),
    nearEntries: validateNearEntries(given.nearEntries),
    isFrozen: checkFrozen(given.frozen, 'connect()') ?? false,
  }
}

function socketPath(url: unknown): string {
  if (typeof url !== 'string' || url === '') {
    throw configError(`connect() needs the path of a socket, or unix:// and the path, not ${show(url)}`)
  }
  const [, scheme, rest = ''] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(url) ?? []
  if (scheme === undefined) return resolve(url)
  if (scheme.toLowerCase() !== 'unix') {
    throw notSupported(`connect() to ${show(url)} (only unix:// is: values are read from shared memory)`)
  }
  if (!rest.startsWith('/')) throw configError(`unix:// is followed by an absolute path, not ${show(url)}`)
  return decodePath(rest, url)
}

function decodePath(path: string, url: string): string {
  try {
    return decodeURIComponent(path)
  } catch (error) {
    throw configError(`${show(url)} has a % that begins no character`, error)
  }
}
