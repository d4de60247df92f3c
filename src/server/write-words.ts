/** Options of `RC.BLOB.WRITE`, word by word. */
import { RamcacheError, show } from '../base/errors.ts'
import type { WriteStreamOptions } from '../config/options.ts'
import { Failure } from './replies.ts'

/** Throws what is wrong with them. */
export function blobOptions(words: readonly Buffer[]): WriteStreamOptions {
  const options: { ttl?: number; idle?: number; tags?: string[]; durability?: 'none' | 'async' | 'sync' } = {}
  const rest = words.values()
  const next = (): string => {
    const word = rest.next().value
    if (word === undefined) throw new Failure('ERR syntax error')
    return word.toString()
  }
  const number = (name: string): number => {
    const text = next()
    if (/^(0|[1-9]\d{0,15})$/.test(text)) return Number(text)
    throw new RamcacheError('ERR_RAMCACHE_CONFIG', `${name} must be a whole number, not ${show(text)}`)
  }
  for (const word of rest) {
    switch (word.toString('latin1').toUpperCase()) {
      case 'TTL':
        options.ttl = number('TTL')
        break
      case 'IDLE':
        options.idle = number('IDLE')
        break
      case 'TAGS':
        options.tags = Array.from({ length: Math.min(number('TAGS'), words.length) }, next)
        break
      case 'DURABILITY':
        options.durability = next().toLowerCase() as 'none'
        break
      default:
        throw new Failure('ERR syntax error')
    }
  }
  return options
}
