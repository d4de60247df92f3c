/** Certificates for tests, made by the `openssl` program: an authority, and what it vouches for. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Paths of PEM files. */
export interface Pair {
  readonly cert: string
  readonly key: string
}

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']

export class Authority {
  readonly folder = mkdtempSync(join(tmpdir(), 'ramcache-ca-'))
  /** Path of its own certificate. */
  readonly ca = join(this.folder, 'ca.pem')

  constructor() {
    const self = ['-x509', '-days', '2', '-subj', '/CN=authority']
    openssl(this.folder, 'req', ...newKey, ...self, '-keyout', 'ca.key', '-out', 'ca.pem')
  }

  /** For this machine. */
  sign(name: string): Pair {
    const { folder } = this
    writeFileSync(join(folder, 'names'), 'subjectAltName=IP:127.0.0.1,DNS:localhost')
    openssl(folder, 'req', ...newKey, '-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.csr`)
    const by = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', 'names']
    openssl(folder, 'x509', '-req', '-in', `${name}.csr`, ...by, '-out', `${name}.pem`)
    return { cert: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) }
  }

  get bytes(): Buffer {
    return readFileSync(this.ca)
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

function openssl(cwd: string, ...args: string[]): void {
  try {
    execFileSync('openssl', args, { cwd, stdio: ['ignore', 'ignore', 'pipe'] })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    throw new Error('openssl is not installed; on Debian: apt-get install openssl')
  }
}
