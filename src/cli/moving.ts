/** For verbs that move entries: which they mean, and what became of them. */
import { type Move, type MoveOutcome, moveKeys, moveOutcomes, whenWarm } from '../cache/moves.ts'
import type { Cache } from '../index.ts'
import type { CliIo, OptionValues } from './command.ts'
import { ExitCode } from './exit-codes.ts'
import { LIVE_OPTIONS, namespaceIn, withCache } from './live.ts'
import { checkCount, text } from './offline.ts'

export const MOVE_OPTIONS = { ...LIVE_OPTIONS, exact: { type: 'boolean' } } as const

export const MOVE_HELP = `  --exact           *, ? and [ stand for themselves
`

/** Keys of a command: enough to be worth a round trip, few enough to be answered soon. */
const keysOfCommand = 256

type Words = Readonly<Partial<Record<MoveOutcome, string>>>

/** Moves what the arguments mean and says what became of it; `words` are for people. */
export async function move(
  positionals: readonly string[],
  values: OptionValues,
  io: CliIo,
  what: Move,
  words: Words,
): Promise<ExitCode> {
  checkCount(positionals, 1, Number.POSITIVE_INFINITY, 'a KEY or PATTERN, or more')
  const namespace = text(values.namespace) ?? 'default'
  const counts = { moved: 0, already: 0, absent: 0, pinned: 0, unfit: 0 }
  await withCache({ ...values, namespace: undefined }, io, async (cache) => {
    await whenWarm(cache)
    const keys = await keysOf(namespaceIn(cache, namespace), positionals, values.exact === true)
    for (let at = 0; at < keys.length; at += keysOfCommand) {
      io.signal?.throwIfAborted()
      const moved = await moveKeys(cache, namespace, keys.slice(at, at + keysOfCommand), what)
      for (const outcome of moved) counts[outcome]++
    }
  })
  if (values.json === true) io.stdout.write(`${JSON.stringify(counts)}\n`)
  else {
    const shown = moveOutcomes.filter((outcome) => outcome === 'moved' || counts[outcome] > 0)
    io.stdout.write(`${shown.map((outcome) => `${counts[outcome]} ${words[outcome]}`).join(', ')}\n`)
  }
  const isDone = counts.moved + counts.already > 0 && counts.pinned + counts.unfit === 0
  return isDone ? ExitCode.done : ExitCode.negative
}

/** All of them before the first is moved: a scan meets what moves meanwhile in two places. */
async function keysOf(cache: Cache, positionals: readonly string[], isExact: boolean): Promise<string[]> {
  const keys = new Set<string>()
  for (const argument of positionals) {
    if (isExact || !/[*?[\\]/.test(argument)) {
      keys.add(argument)
      continue
    }
    for await (const { key } of cache.scan({ match: argument })) keys.add(key)
  }
  return [...keys]
}
