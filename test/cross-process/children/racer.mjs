/**
 * One of many processes over one daemon: `racer.mjs ROLE URL FILE NUMBER`. In the file there are two numbers for each key:
 * the last sequence number that its writer has begun to write, and the last that was acknowledged. A reader that looks at
 * the second before and at the first afterwards knows which values it may have read.
 *
 * `writer`: writes its keys, and others that push them out of memory, until it is killed. `reader`: reads all keys until
 * it is told `end`, and says how many reads there were; ends with 1 and says what was wrong. `counter`: told a number, it
 * reads a key so many times and says so.
 */
import { openSync, readSync, writeSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { connect } from '../../../dist/index.js'

const keys = 64
const writers = 2

const begun = 0
const acknowledged = keys * 4

/** Tells of another key, another number, and of half of one and half of another. */
function valueFor(index, sequence) {
  const text = `${index}/${sequence};`.repeat(1 + ((index * 7 + sequence) % 90))
  return sequence % 2 === 0 ? text : { index, sequence, text }
}

function sequenceOf(index, value) {
  const sequence = typeof value === 'string' ? Number(/^\d+\/(\d+);/.exec(value)?.[1]) : value?.sequence
  const expected = valueFor(index, sequence)
  const isRight =
    typeof value === 'string'
      ? value === expected
      : value?.index === index && value.text === expected.text && Object.keys(value).length === 3
  return isRight ? sequence : undefined
}

/** What a process that lost its daemon for a moment is told. */
const passing = ['ERR_RAMCACHE_UNAVAILABLE', 'ERR_RAMCACHE_CLOSED', 'ERR_RAMCACHE_TIMEOUT']

function unlessPassing(error) {
  if (!passing.includes(error.code)) throw error
}

await main(...process.argv.slice(2))

async function main(role, url, path, number) {
  const file = openSync(path, 'r+')
  const word = Buffer.alloc(4)
  const read = (at, index) => {
    readSync(file, word, 0, 4, at + index * 4)
    return word.readUInt32LE()
  }
  const write = (at, index, sequence) => {
    word.writeUInt32LE(sequence)
    writeSync(file, word, 0, 4, at + index * 4)
  }
  const cache = await connect(url)
  process.on('disconnect', () => process.exit(0))
  process.send('ready')
  if (role === 'writer') await writeOn()
  else if (role === 'reader') await readOn()
  else process.on('message', count)

  async function writeOn() {
    for (let turn = 0; ; turn++) {
      for (let index = Number(number); index < keys; index += writers) {
        const sequence = read(begun, index) + 1
        write(begun, index, sequence)
        try {
          await cache.set(`key ${index}`, valueFor(index, sequence))
          write(acknowledged, index, sequence)
        } catch (error) {
          unlessPassing(error)
          await nextTurn()
        }
      }
      // Others come and go, so that segments are recycled under the readers' eyes.
      const others = Array.from({ length: 50 }, (_, n) =>
        cache.set(`other ${number} ${(turn * 50 + n) % 5000}`, 'x'.repeat(700)),
      )
      for (const answer of await Promise.allSettled(others)) {
        if (answer.status === 'rejected') unlessPassing(answer.reason)
      }
    }
  }

  async function readOn() {
    let isEnding = false
    let reads = 0
    process.on('message', () => {
      isEnding = true
    })
    const before = Buffer.alloc(keys * 4)
    const after = Buffer.alloc(keys * 4)
    for (let round = 0; !isEnding; round++) {
      readSync(file, before, 0, keys * 4, acknowledged)
      const found = []
      for (let index = 0; index < keys; index++) {
        try {
          found[index] = cache.getSync(`key ${index}`) ?? (await cache.get(`key ${index}`))
          reads++
        } catch (error) {
          unlessPassing(error)
          found[index] = null
        }
      }
      readSync(file, after, 0, keys * 4, begun)
      for (const [index, value] of found.entries()) {
        if (value === null) continue
        const [least, most] = [before.readUInt32LE(index * 4), after.readUInt32LE(index * 4)]
        const sequence = value === undefined ? 0 : sequenceOf(index, value)
        if (sequence === undefined || sequence < least || sequence > most) {
          process.send({
            wrong: `key ${index}: ${JSON.stringify(value)?.slice(0, 200)}, not from ${least} to ${most}`,
          })
          process.exit(1)
        }
      }
      if (round % 100 === 0) {
        process.send({ reads })
        await nextTurn()
      }
    }
    process.send({ reads, isEnd: true })
  }

  function count(times) {
    let found = 0
    for (let turn = 0; turn < times; turn++) if (cache.getSync('counted') === 'here') found++
    process.send({ found })
  }
}
