/** Every kind of value there is, and entries of every kind of property. */
import { createHash } from 'node:crypto'
import { engineOf } from '../../src/cache/internal.ts'
import { Manifest } from '../../src/codec/blob.ts'
import type { Cache, OpenOptions } from '../../src/index.ts'
import { open } from '../../src/index.ts'
import type { Space, WholeEntry } from '../../src/native/engine.ts'

export const valuesOfAllKinds: readonly (readonly [string, unknown])[] = [
  ['null', null],
  ['true', true],
  ['zero', 0],
  ['minus zero', -0],
  ['nan', Number.NaN],
  ['infinity', Number.POSITIVE_INFINITY],
  ['fraction', 0.1],
  ['large', 2 ** 60],
  ['string', 'plain'],
  ['empty', ''],
  ['unicode', 'żółć 🦀 \u0000 \u2028 "\\'],
  ['007', '007'],
  ['bigint', -(2n ** 90n)],
  ['bytes', Buffer.from([0, 255, 10, 13])],
  ['no bytes', Buffer.alloc(0)],
  ['floats', Float32Array.of(1.5, -0, Number.NaN)],
  ['array buffer', Uint8Array.of(1, 2, 3).buffer],
  ['view', new DataView(Uint8Array.of(9, 8).buffer)],
  ['date', new Date(1_700_000_000_123)],
  ['no date', new Date(Number.NaN)],
  [
    'map',
    new Map<unknown, unknown>([
      ['a', 1n],
      [{ b: 2 }, new Set([1, -0, 'x'])],
    ]),
  ],
  ['set', new Set([Buffer.from('in a set')])],
  ['array', [1, [2, [3n]], null, { a: Number.NEGATIVE_INFINITY }]],
  ['object', { id: 7, name: 'Ada', tags: ['x'], nested: { when: new Date(5), bytes: Buffer.from('!') } }],
  ['looks marked', { $bigint: '5' }],
  ['looks marked twice', { $object: { $map: [] } }],
  ['two marks', { $a: 1, $b: 2 }],
  ['proto', JSON.parse('{"__proto__":{"a":1},"constructor":2}')],
  ['bare', Object.assign(Object.create(null), { a: 1, b: Object.assign(Object.create(null), { $set: 2 }) })],
]

/** Keys that are no UTF-8 have no text, so entries are told apart by bytes. */
export async function allOf(cache: Cache): Promise<Map<string, WholeEntry & { content?: string }>> {
  const engine = engineOf(cache)
  const found = new Map<string, WholeEntry & { content?: string }>()
  const { exportEntries } = await import('../../src/keep/export.ts')
  for (const line of (await textOf(exportEntries(cache))).split('\n')) {
    if (line === '') continue
    const { namespace, key, keyEncoding } = JSON.parse(line)
    if (key === undefined) continue
    const bytes = Buffer.from(key, keyEncoding ?? 'utf8')
    const space = engine.space(namespace) as Space
    const entry = (await space.lookWhole(bytes)) as WholeEntry
    const isBlob = entry.value instanceof Manifest
    const scope = namespace === 'default' ? cache : namespaceOf(cache, namespace)
    const content = isBlob ? { content: sumOf(await contentOf(await scope.createReadStream(bytes))) } : {}
    found.set(`${namespace} ${bytes.toString('hex')}`, { ...entry, ...content })
  }
  return found
}

function sumOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function namespaceOf(cache: Cache, name: string): Cache {
  return name.split('/').reduce((parent, part) => parent.namespace(part), cache)
}

export async function textOf(stream: AsyncIterable<Uint8Array>): Promise<string> {
  return (await contentOf(stream)).toString()
}

export async function contentOf(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const part of stream) parts.push(part)
  return Buffer.concat(parts)
}

/** What must be the same in another store: everything but version, place and when it was written. */
export function comparable(entries: Map<string, WholeEntry & { content?: string }>): Map<string, unknown> {
  const plain = [...entries].map(([key, { value, expiresAt, idleMs, deadline, tags, content }]) => {
    const shown = value instanceof Manifest ? { blobBytes: value.totalBytes } : value
    return [key, { value: shown, expiresAt, idleMs, deadline, tags, content }] as const
  })
  return new Map(plain.sort())
}

export function openAt(dir: string, options: Partial<OpenOptions> = {}): Promise<Cache> {
  return open({ dir, memory: '4mb', ...options })
}
