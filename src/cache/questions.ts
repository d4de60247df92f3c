/** What an operator asks the process that owns a store, over its socket: hot keys, slow commands, how long commands run. */
import { listOf, numberOf, textOf } from '../client/commands.ts'
import type { Argument } from '../client/outbox.ts'
import type { RemoteStore } from '../client/remote-store.ts'
import type { Reply } from '../client/replies.ts'
import { engineOf } from './internal.ts'
import type { ReadonlyCache } from './types.ts'

/** Of a cache that `connect` returned. */
function ask(cache: ReadonlyCache, name: string, ...args: Argument[]): Promise<Reply> {
  // Over the connection for what may take long: others are not to wait for it.
  return (engineOf(cache) as RemoteStore).cold.request(name, args, true)
}

export interface HotKey {
  readonly key: string
  readonly namespace: string
  readonly readsPerSecond: number
  /** Standard error of that. */
  readonly error: number
  /** Of all reads that RAM answered. */
  readonly share: number
}

export interface HotKeys {
  readonly readsPerSecond: number
  readonly keys: readonly HotKey[]
}

/** The keys that are read most in a window of time from now on, by samples. */
export async function askHotKeys(cache: ReadonlyCache, windowMs: number, count: number): Promise<HotKeys> {
  const name = 'RC.HOT'
  const [total, rows] = listOf(await ask(cache, name, windowMs, count), name)
  const reads = numberOf(total, name)
  const perSecond = (count: number) => (count * 1000) / windowMs
  const keys = listOf(rows, name).map((row) => {
    const [namespace, key, ...numbers] = listOf(row, name)
    const [ofKey = 0, error = 0] = numbers.map((number) => numberOf(number, name))
    return {
      key: textOf(key, name),
      namespace: textOf(namespace, name),
      readsPerSecond: perSecond(ofKey),
      error: perSecond(error),
      share: reads === 0 ? 0 : ofKey / reads,
    }
  })
  return { readsPerSecond: perSecond(reads), keys }
}

export interface SlowCommand {
  readonly id: number
  /** Milliseconds since 1970. */
  readonly at: number
  readonly us: number
  /** As far as they are kept: 32 arguments of 128 bytes. */
  readonly command: readonly string[]
  /** Name of the client, if it gave one. */
  readonly client: string
}

/** Commands that ran long, the newest first. */
export async function askSlow(cache: ReadonlyCache, count: number): Promise<SlowCommand[]> {
  const name = 'SLOWLOG'
  return listOf(await ask(cache, name, 'GET', count), name).map((row) => {
    const [id, atS, us, words, , client] = listOf(row, name)
    return {
      id: numberOf(id, name),
      at: numberOf(atS, name) * 1000,
      us: numberOf(us, name),
      command: listOf(words, name).map((word) => textOf(word, name)),
      client: textOf(client, name),
    }
  })
}

export async function forgetSlow(cache: ReadonlyCache): Promise<void> {
  await ask(cache, 'SLOWLOG', 'RESET')
}

export interface CommandLatency {
  readonly calls: number
  /** For each power of two of a microsecond how many calls took no longer. */
  readonly histogram: readonly (readonly [us: number, calls: number])[]
}

/** How long commands have run, by their names. */
export async function askLatency(cache: ReadonlyCache): Promise<Map<string, CommandLatency>> {
  const name = 'LATENCY'
  const commands = pairs(await ask(cache, name, 'HISTOGRAM'), name)
  return new Map(
    commands.map(([command, fields]) => {
      const of = new Map(pairs(fields, name).map(([field, value]) => [textOf(field, name), value]))
      const histogram = pairs(of.get('histogram_usec') ?? null, name)
      return [
        textOf(command, name),
        {
          calls: numberOf(of.get('calls'), name),
          histogram: histogram.map(([us, calls]) => [numberOf(us, name), numberOf(calls, name)] as const),
        },
      ]
    }),
  )
}

/** A map, as RESP2 has it. */
function pairs(reply: Reply, name: string): [Reply, Reply][] {
  const items = listOf(reply, name)
  return Array.from({ length: items.length / 2 }, (_, at) => [
    items[at * 2] as Reply,
    items[at * 2 + 1] as Reply,
  ])
}

/** The upper edge of the bucket in which a share of all calls lies. */
export function quantileUs({ calls, histogram }: CommandLatency, share: number): number {
  const rank = Math.max(1, Math.ceil(calls * share))
  return histogram.find(([, count]) => count >= rank)?.[0] ?? 0
}

/** One round trip that does nothing. */
export async function roundTrip(cache: ReadonlyCache): Promise<void> {
  await (engineOf(cache) as RemoteStore).hot.request('PING', [], true)
}
