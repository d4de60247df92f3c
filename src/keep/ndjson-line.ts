/** One line of the text form, checked field by field, as an item. */
import { RamcacheError, show } from '../base/errors.ts'
import { ValueType } from '../codec/bytes.ts'
import { ValueCodec } from '../codec/value.ts'
import type { Item, KeptHead } from './items.ts'
import { bytesFrom, fromJson } from './json-value.ts'
import { typeOf } from './ndjson-out.ts'

export type Line = Readonly<Record<string, unknown>>

const fields = new Set([
  'namespace',
  'key',
  'keyEncoding',
  'version',
  'createdAt',
  'expiresAt',
  'idle',
  'deadline',
  'tags',
  'type',
  'value',
  'valueType',
  'bytes',
])
const codec = new ValueCodec()

export function isObject(json: unknown): json is Line {
  return typeof json === 'object' && json !== null && !Array.isArray(json)
}

/** Throws ERR_RAMCACHE_VALUE: the line is JSON, but no entry and no part of a blob. */
export function itemOf(line: Line): Item {
  const names = Object.keys(line)
  if (names.length === 1 && names[0] === 'chunk') return { kind: 'chunk', bytes: bytesFrom(line.chunk) }
  if (names.length === 1 && names[0] === 'end') return { kind: 'end', totalBytes: numberOf(line, 'end') }
  if (names.length === 1 && names[0] === 'lost') return { kind: 'lost' }
  const unknown = names.find((name) => !fields.has(name))
  if (unknown !== undefined) throw refused(`there is no field ${show(unknown)}`)
  const head = headOf(line)
  if (line.type === 'blob') return { kind: 'blob', head, totalBytes: numberOf(line, 'bytes') }
  return { kind: 'entry', head, value: readValue(line), size: 0 }
}

function headOf(line: Line): KeptHead {
  const { namespace = 'default', tags = [], version = '' } = line
  if (typeof namespace !== 'string') throw refused(`namespace is ${show(namespace)}, not a string`)
  if (typeof version !== 'string') throw refused(`version is ${show(version)}, not a string`)
  if (!Array.isArray(tags) || !tags.every((tag) => typeof tag === 'string')) {
    throw refused(`tags are ${show(tags)}, not a list of strings`)
  }
  const head = {
    namespace,
    key: keyOf(line),
    version,
    createdAt: numberOf(line, 'createdAt', 0),
    expiresAt: numberOf(line, 'expiresAt', 0),
    idleMs: numberOf(line, 'idle', 0),
    deadline: numberOf(line, 'deadline', 0),
    tags,
  }
  if (head.idleMs > 0 && head.expiresAt === 0)
    throw refused('idle needs expiresAt, when it expires if nobody reads it')
  if (head.deadline > 0 && head.idleMs === 0) throw refused('deadline is of entries with idle')
  return head
}

function keyOf({ key, keyEncoding }: Line): Buffer {
  if (typeof key !== 'string') throw refused(`key is ${show(key)}, not a string`)
  if (keyEncoding === 'base64') return bytesFrom(key)
  if (keyEncoding === undefined) return Buffer.from(key)
  throw refused(`keyEncoding is ${show(keyEncoding)}, known is "base64"`)
}

function readValue(line: Line): unknown {
  const { type, value } = line
  if (value === undefined) throw refused('there is no value')
  if (type === 'packed') {
    const valueType = numberOf(line, 'valueType')
    if (valueType === ValueType.sharedObject || valueType === ValueType.blob) {
      throw refused(`a value of type ${valueType} does not stand alone`)
    }
    const bytes = bytesFrom(value)
    return codec.decode(valueType, bytes, 0, bytes.length)
  }
  const found = fromJson(value)
  if (type !== undefined && type !== typeOf(found)) {
    throw refused(`type is ${show(type)}, but the value is of type ${typeOf(found)}`)
  }
  return found
}

function numberOf(line: Line, name: string, fallback?: number): number {
  const value = line[name] ?? fallback
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number
  throw refused(`${name} is ${show(value)}, not a whole number from 0 on`)
}

function refused(what: string): RamcacheError {
  return new RamcacheError('ERR_RAMCACHE_VALUE', what)
}
