/**
 * The manifest of a backup, `manifest.json`: what it consists of, written last, so that a backup without one is none.
 * Bytes: `docs/FORMAT.md`.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { RamcacheError } from '../base/errors.ts'

export const manifestName = 'manifest.json'
export const backupVersion = 1

/** A tier. Its files lie in a directory of this name, and go to where the tier lies. */
export interface BackupPart {
  readonly part: 'ssd' | 'hdd'
  /** Where the value log ends in this backup; of `ssd`. */
  readonly position?: { readonly file: number; readonly offset: number }
  readonly entries: number
  readonly files: readonly BackupFile[]
}

export interface BackupFile {
  /** In the directory of the part, with `/`. */
  readonly path: string
  readonly bytes: number
  readonly sha256: string
}

export interface BackupManifest {
  readonly ramcacheBackup: number
  /** Of the package that made it. */
  readonly version: string
  readonly createdAt: number
  readonly parts: readonly BackupPart[]
}

export function packManifest(manifest: BackupManifest): string {
  return `${JSON.stringify({ ...manifest, sha256: checkOf(manifest) }, undefined, 1)}\n`
}

function checkOf(manifest: object): string {
  return createHash('sha256').update(JSON.stringify(manifest)).digest('hex')
}

/** Throws ERR_RAMCACHE_UNAVAILABLE without one, ERR_RAMCACHE_CORRUPT when it is damaged or newer than this code. */
export function readManifest(dir: string): BackupManifest {
  const path = join(dir, manifestName)
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    const message = `${dir} is no backup, or one that was not finished: ${(error as Error).message}`
    throw new RamcacheError('ERR_RAMCACHE_UNAVAILABLE', message, error)
  }
  const manifest = parse(text, path)
  if (manifest.ramcacheBackup !== backupVersion) {
    throw corrupt(
      path,
      `it has format version ${manifest.ramcacheBackup}, this version of ramcache reads ${backupVersion}`,
    )
  }
  for (const { part, files } of manifest.parts) {
    if (part !== 'ssd' && part !== 'hdd')
      throw corrupt(
        path,
        `it has a part ${JSON.stringify(part)}, which this version of ramcache does not know`,
      )
    for (const { path: file } of files) {
      // What is copied goes where it says: nowhere else.
      const isInside = /^[\w.-]+(\/[\w.-]+)*$/.test(file) && !file.split('/').includes('..')
      if (!isInside) throw corrupt(path, `it names a file ${JSON.stringify(file)}`)
    }
  }
  return manifest
}

function parse(text: string, path: string): BackupManifest {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (error) {
    throw new RamcacheError('ERR_RAMCACHE_CORRUPT', `${path} is not JSON: ${(error as Error).message}`, error)
  }
  const { sha256, ...manifest } = (json ?? {}) as BackupManifest & { sha256?: unknown }
  if (sha256 !== checkOf(manifest)) throw corrupt(path, 'its checksum does not match')
  return manifest
}

function corrupt(path: string, what: string): RamcacheError {
  return new RamcacheError('ERR_RAMCACHE_CORRUPT', `the manifest ${path} cannot be used: ${what}`)
}
