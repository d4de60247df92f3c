/**
 * Owns a store that will be killed: `crasher.mjs DIR JOURNAL SEED HOW`. Opens it, verifies that all is there that must
 * be, says `verified`, then writes with several flows at once and says `.` for every 20 acknowledged operations, until
 * it is killed. `HOW`, joined by commas: `flushed` (what was not flushed may be lost), `verify` (end after verifying),
 * `close` (end by closing after 3,000 operations), `errors` (say each error instead of failing).
 */

import { Prng } from '../../../dist/base/prng.js'
import { checkStore } from '../../../dist/cache/internal.js'
import { open } from '../../../dist/index.js'
import { isValue, Model, textOf } from './model.mjs'

const [dir, journalPath, seed, how = ''] = process.argv.slice(2)
const random = new Prng(Number(seed))
const isHow = (word) => how.split(',').includes(word)

const keysOfFlow = 700
const say = (text) => process.stdout.write(text)

say('opening\n')
const cache = await open({ dir, memory: '2mb' })
say('opened\n')
const cleared = cache.namespace('cleared')
const model = Model.load(journalPath)
const spaceOf = (key) => (key.startsWith('c:') ? cleared : cache)
await verify()
if (isHow('verify')) {
  await cache.close()
  process.exit(0)
}
const journal = model.save(journalPath)
say('verified\n')
let acknowledged = 0
let isEnding = false
const flows = [0, 1, 2, 3]
  .map(flow)
  .concat(countingFlow(), groupFlow(), clearedFlow(), taggedFlow(), flushFlow())
await Promise.all(flows)
await cache.close()
say('closed\n')
process.exit(0)

/** In an order of its own, so that what is cold is mixed with what is not; each key twice. */
async function verify() {
  const keys = random.shuffle([...model.keys.keys()])
  const found = new Map()
  for (let at = 0; at < keys.length; at += 100) {
    const part = keys.slice(at, at + 100)
    const values = await Promise.all(part.map((key) => spaceOf(key).get(key)))
    for (const [index, key] of part.entries()) found.set(key, values[index])
  }
  checkStore(cache)
  model.settle(found, isHow('flushed'))
  for (const key of random.shuffle(keys).slice(0, 300)) {
    const again = await spaceOf(key).get(key)
    const first = found.get(key)
    if (model.last(key)?.until !== undefined) continue
    const isSame =
      typeof first === 'object' ? JSON.stringify(again) === JSON.stringify(first) : again === first
    if (!isSame) throw new Error(`${key} is another one when read again`)
  }
}

async function run(issued, work, check) {
  let answer
  try {
    answer = await work()
  } catch (error) {
    if (isEnding && error.code === 'ERR_RAMCACHE_CLOSED') return false
    throw error
  }
  journal.acknowledge(issued)
  if (check !== undefined && !check(answer))
    throw new Error(`${JSON.stringify(issued)} was answered ${answer}`)
  if (++acknowledged % 20 === 0) say('.')
  if (isHow('close') && acknowledged === 3000) isEnding = true
  // Every operation is a turn of its own, else a flow would run to its first cold key alone.
  await new Promise(setImmediate)
  return true
}

async function flow(number) {
  while (!isEnding) {
    const key = `f${number}:${random.below(keysOfFlow)}`
    const last = model.last(key)
    const isTimed = last !== null && 'until' in last
    const choice = random.below(100)
    const v = model.nextVersion++
    if (choice < 45) {
      await run(journal.issue(key, { v }), () => cache.set(key, textOf(key, v)))
    } else if (choice < 55) {
      await run(
        journal.issue(key, null),
        () => cache.delete(key),
        (was) => isTimed || was === (last !== null),
      )
    } else if (choice < 65 && !isTimed) {
      const state = last === null ? { v } : last
      await run(
        journal.issue(key, state),
        () => cache.add(key, textOf(key, v)),
        (added) => added === (last === null),
      )
    } else if (choice < 70) {
      await run(journal.issue(key, { v }), () => cache.set(key, textOf(key, v), { ttl: '1h' }))
    } else if (choice < 73) {
      // Earlier than it will be: when it says that it is over, it is.
      const ttl = 1 + random.below(50)
      await run(journal.issue(key, { v, until: Date.now() + ttl + 1000 }), () =>
        cache.set(key, textOf(key, v), { ttl }),
      )
    } else if (choice < 78 && last !== null && !isTimed) {
      await run(
        journal.issue(key, last),
        () => cache.touch(key, '2h'),
        (was) => was,
      )
    } else if (!isTimed) {
      const value = await cache.get(key)
      const isRight = last === null ? value === undefined : isValue(value, key, last.v)
      if (!isRight)
        throw new Error(`${key} reads ${String(value).slice(0, 80)} instead of ${JSON.stringify(last)}`)
    }
  }
}

async function countingFlow() {
  while (!isEnding) {
    const key = `n:${random.below(200)}`
    const n = (model.last(key)?.n ?? 0) + 1
    await run(
      journal.issue(key, { n }),
      () => cache.incr(key, 1, { init: 0 }),
      (sum) => sum === n,
    )
  }
}

async function groupFlow() {
  while (!isEnding) {
    const number = random.below(50)
    const keys = Array.from({ length: 2 + (number % 6) }, (_, index) => `g${number}:${index}`)
    const v = model.nextVersion++
    await run(journal.issueGroup(keys, v), () => cache.setMany(keys.map((key) => [key, textOf(key, v)])))
  }
}

async function clearedFlow() {
  while (!isEnding) {
    const key = `c:${random.below(200)}`
    const v = model.nextVersion++
    if (random.chance(0.01)) await run(journal.issueClear('c:'), () => cleared.clear())
    else if (random.chance(0.1)) await run(journal.issue(key, null), () => cleared.delete(key))
    else await run(journal.issue(key, { v }), () => cleared.set(key, textOf(key, v)))
  }
}

async function taggedFlow() {
  while (!isEnding) {
    const key = `t:${random.below(200)}`
    const v = model.nextVersion++
    const dice = random.below(100)
    if (dice === 0) await run(journal.issueClear('t:'), () => cache.invalidateTags(['t', 'another']))
    else if (dice < 10) await run(journal.issue(key, null), () => cache.delete(key))
    else await run(journal.issue(key, { v }), () => cache.set(key, textOf(key, v), { tags: ['of all', 't'] }))
  }
}

async function flushFlow() {
  while (!isEnding) {
    await run(journal.issueFlush(), () => cache.flush())
    for (let turn = random.below(200); turn > 0 && !isEnding; turn--) await new Promise(setImmediate)
  }
}
