/**
 * One of many that share a store: `member.mjs DIR NAME FIRST OPTIONS`. Writes numbered values under keys of its own, from
 * FIRST on, and reads what all members write; says of each write what became of it. Values carry their own checksum.
 * Ends with what was wrong, or when it is told to.
 */
import { createHash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { open } from '../../../dist/index.js'

const [dir, name, first, options] = process.argv.slice(2)
const keyCount = 50

function sumOf(text) {
  return createHash('md5').update(text).digest('hex')
}

function makeValue(key, number) {
  const text = `${key} ${number} `.repeat(1 + (number % 40))
  return { key, number, text, sum: sumOf(text) }
}

/** The number of a value, which must be whole and of this key. */
function check(key, value) {
  if (
    value.key !== key ||
    value.sum !== sumOf(value.text) ||
    !value.text.startsWith(`${key} ${value.number} `)
  ) {
    throw new Error(`a torn value under ${key}: ${JSON.stringify(value)}`)
  }
  return value.number
}

let isEnding = false
process.on('message', (others) => {
  if (others === 'end') isEnding = true
})

const cache = await open({ ...JSON.parse(options), dir, ownerTimeout: '60s' })
const inside = cache.namespace('inside')
process.send({ ready: true })
for (let number = Number(first); !isEnding; number++) {
  const key = `${name}:${number % keyCount}`
  const space = number % 3 === 0 ? inside : cache
  let became = 'acknowledged'
  try {
    await space.set(key, makeValue(key, number))
  } catch (error) {
    if (error.code !== 'ERR_RAMCACHE_UNAVAILABLE') throw error
    became = error.message.includes('may or may not') ? 'unknown' : 'refused'
  }
  if (became === 'acknowledged') {
    const found = await space.get(key)
    if (found === undefined || check(key, found) !== number) {
      throw new Error(`${key} is not ${number} after it was acknowledged, but ${JSON.stringify(found)}`)
    }
  }
  process.send({ key, number, isInside: space === inside, became })
  // An owner would never come to anything else.
  await nextTurn()
  const other = `m${number % 8}:${(number * 7) % keyCount}`
  for (const from of [cache, inside]) {
    const seen = from.getSync(other)
    if (seen !== undefined) check(other, seen)
  }
}
await cache.close()
process.disconnect()
