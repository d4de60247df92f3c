/** An entry of a scan over all tiers, as the caller sees it. */
import { decodeManifest } from '../codec/blob.ts'
import type { NativeScanned } from '../native/binding.ts'
import { decodeTags } from '../native/write-options.ts'
import type { EntryInfo } from './types.ts'

export function tierEntry(scanned: NativeScanned): EntryInfo {
  const { version, createdAt, expiresAt, tier, value } = scanned
  const info = {
    key: textOf(scanned.key),
    size: scanned.size,
    version,
    createdAt,
    expiresAt: expiresAt === 0 ? undefined : expiresAt,
    tags: decodeTags(bufferOf(scanned.tags)),
    tier,
  }
  if (value === undefined) return info
  return { ...info, size: decodeManifest(bufferOf(value)).totalBytes, isBlob: true }
}

function textOf(bytes: Uint8Array): string {
  return bufferOf(bytes).toString()
}

/** What came in a message is plain bytes. */
function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
