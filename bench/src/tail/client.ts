/**
 * One client of the tail table: `client.js SYSTEM PLACE NUMBER`. Asked `{ fill: [from, to] }` it stores those objects;
 * asked `{ seconds, perSecond, hot, from }` it reads and writes at that rate and answers with the times of each operation.
 *
 * Operations come in ticks of a millisecond; a read waits for the one before it, a write for nothing. One whose tick came
 * while another one was under way is timed from its tick, so that whoever waits behind a stall counts; a timer that is
 * late is the client's own fault, and its tick begins when it fires.
 */
import { setTimeout as after } from 'node:timers/promises'
import { keyOf, object1k, random } from '../support/keys.js'
import { systems } from './systems.js'

const [name = '', place = '', number = '0'] = process.argv.slice(2)
const system = await (systems[name] as (typeof systems)[string])(place)
const writeShare = 0.1
/** Of the writes, those of keys that were never there: they make the store grow. */
const newShare = 0.5

interface Load {
  readonly seconds: number
  readonly perSecond: number
  readonly hot: number
  /** New keys are numbered from here. */
  readonly from: number
}

async function fill(from: number, to: number): Promise<void> {
  for (let index = from; index < to; index += 500) {
    const puts: Promise<unknown>[] = []
    for (let at = index; at < Math.min(to, index + 500); at++) puts.push(system.set(keyOf(at), object1k(at)))
    await Promise.all(puts)
  }
}

async function run({ seconds, perSecond, hot, from }: Load) {
  const next = random(Number(number) + 1)
  const chance = () => next() / 2 ** 32
  const gets: number[] = []
  const sets: number[] = []
  const writing: Promise<unknown>[] = []
  let newKey = from
  let missing = 0
  const perTick = perSecond / 1000
  const startAt = performance.now()
  let done = 0
  let tick = 0
  while (tick < seconds * 1000) {
    const planned = startAt + tick
    const isBehind = performance.now() >= planned
    if (!isBehind) {
      await after(planned - performance.now())
      // Ticks that the timer has slept through begin now too.
      tick = Math.max(tick, Math.floor(performance.now() - startAt))
    }
    tick++
    for (; done < tick * perTick; done++) {
      const isWrite = chance() < writeShare
      const index = isWrite && chance() < newShare ? newKey++ : Math.floor(chance() * hot)
      const key = keyOf(index)
      const value = isWrite ? object1k(index) : undefined
      const before = isBehind ? planned : performance.now()
      const us = () => (performance.now() - before) * 1000
      if (isWrite) {
        writing.push(system.set(key, value).then(() => sets.push(us())))
        continue
      }
      const answer = system.get(key)
      const found = answer instanceof Promise ? await answer : answer
      gets.push(us())
      if ((found as { id?: number } | undefined)?.id !== index) missing++
    }
  }
  await Promise.all(writing)
  return { gets, sets, missing }
}

process.on('message', async (message: { fill?: [number, number] } & Partial<Load>) => {
  if (message.fill !== undefined) {
    await fill(...message.fill)
    process.send?.('filled')
  } else process.send?.(await run(message as Load))
})
process.on('disconnect', async () => {
  await system.close()
  process.exit(0)
})
process.send?.('ready')
