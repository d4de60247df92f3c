/** What a daemon needs to listen over TCP, out of the files that its configuration names. */
import { readFileSync } from 'node:fs'
import { configError } from '../config/fields.ts'
import type { ServerTcp } from '../config/open-options.ts'
import { isReadByAll, readPassword } from '../config/password-file.ts'
import { isLoopback, type ValidatedTcp } from '../config/tcp-options.ts'

/** Throws ERR_RAMCACHE_CONFIG for files that cannot be read, or are no password. */
export function readTcp({ host, port, passwordFile, tls }: ValidatedTcp): ServerTcp {
  return {
    host,
    port,
    ...(passwordFile === undefined ? {} : { password: readPassword(passwordFile) }),
    ...(tls === undefined ? {} : { tls: readTls(tls) }),
  }
}

function readTls({ cert, key, ca }: NonNullable<ValidatedTcp['tls']>): NonNullable<ServerTcp['tls']> {
  return {
    cert: read(cert, 'tcp.tls.cert'),
    key: read(key, 'tcp.tls.key'),
    ...(ca === undefined ? {} : { ca: read(ca, 'tcp.tls.ca') }),
  }
}

function read(path: string, name: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw configError(`${name} cannot be read: ${(error as Error).message}`, error)
  }
}

/** What an operator may not have thought of. */
export function warningsOf(tcp: ValidatedTcp | undefined): string[] {
  if (tcp === undefined) return []
  const { host, passwordFile, tls } = tcp
  const secrets = Object.entries({ 'the password': passwordFile, 'the key': tls?.key })
  const warnings: string[] = []
  for (const [what, path] of secrets) {
    if (path !== undefined && isReadByAll(path)) {
      warnings.push(`every user of this machine can read ${what} in ${path}`)
    }
  }
  if (tls === undefined && !isLoopback(host)) {
    warnings.push(`passwords and data go to and from ${host} as they are: everybody on the way can read them`)
  }
  return warnings
}
