/** `ramcache top`. */
import { systemClock } from '../../base/clock.ts'
import { askHotKeys, roundTrip } from '../../cache/questions.ts'
import type { Cache } from '../../index.ts'
import type { CliIo, Command, OptionValues } from '../command.ts'
import { usageError } from '../command.ts'
import { ExitCode } from '../exit-codes.ts'
import { LIVE_HELP, LIVE_OPTIONS, withOwner } from '../live.ts'
import { checkCount, text } from '../offline.ts'
import { frameOf } from '../top/frame.ts'
import { sampleOf, type TopSample } from '../top/sample.ts'
import { Screen } from '../top/screen.ts'

const secondsUsual = 2
const secondsLeast = 0.2
const secondsMost = 60
const hotKeys = 100
/** As wide as a screen may be: the bars of the hit rate. */
const samplesMost = 500
/** Of a picture that goes to no screen. */
const onceSize = { columns: 120, rows: 40 }

const keysThatEnd = new Set(['q', 'Q', '\x03', '\x04', '\x1b'])

export const topCommand: Command = {
  name: 'top',
  help: `usage: ramcache top [--seconds S] [--once] [-s SOCKET | -d DIR]

What happens in a store, again and again: hit rate over time, tiers, latency, the keys that are read most (estimates, as hot
has them). It ends with q or Ctrl-C. Exit code 69 when nobody has the store open.

  --seconds S       between two pictures, and what each shows; by default ${secondsUsual}, from ${secondsLeast} to ${secondsMost}
  --once            one picture, as plain text
  --json            one object for each picture instead, and with --once a single one
  --no-color        without reverse video
${LIVE_HELP}`,
  options: { ...LIVE_OPTIONS, seconds: { type: 'string' }, once: { type: 'boolean' } },
  async run(positionals, values, io) {
    checkCount(positionals, 0, 0, 'no arguments')
    const seconds = Number(text(values.seconds) ?? secondsUsual)
    if (!(seconds >= secondsLeast && seconds <= secondsMost)) {
      throw usageError(
        `--seconds takes a number from ${secondsLeast} to ${secondsMost}, not ${text(values.seconds)}`,
      )
    }
    const isOnce = values.once === true
    if (!isOnce && values.json !== true && io.stdout.isTTY !== true) {
      throw usageError('this is no terminal: --once gives one picture, --json gives objects')
    }
    await withOwner(values, io, async (_, cache) => {
      if (isOnce || values.json === true) await print(cache, seconds, isOnce, values, io)
      else await show(cache, seconds, values, io)
    })
    return ExitCode.done
  },
}

/** One sample for each interval, for ever. */
async function* samplesOf(cache: Cache, seconds: number, { now }: CliIo): AsyncGenerator<TopSample> {
  let before = await cache.stats()
  let from = now()
  for (;;) {
    const hot = await askHotKeys(cache, Math.round(seconds * 1000), hotKeys)
    const start = now()
    await roundTrip(cache)
    const roundTripUs = (now() - start) * 1000
    const after = await cache.stats()
    const to = now()
    yield sampleOf(before, after, {
      at: systemClock.nowMs(),
      intervalSeconds: (to - from) / 1000,
      roundTripUs,
      hot,
    })
    before = after
    from = to
  }
}

async function print(
  cache: Cache,
  seconds: number,
  isOnce: boolean,
  values: OptionValues,
  io: CliIo,
): Promise<void> {
  for await (const sample of samplesOf(cache, seconds, io)) {
    const lines = () => frameOf([sample], onceSize).map(({ text }) => `${text.trimEnd()}\n`)
    io.stdout.write(values.json === true ? `${JSON.stringify(sample)}\n` : lines().join(''))
    if (isOnce || io.signal?.aborted === true) return
  }
}

/** Until a key or a signal ends it; the terminal is itself again before anything else is waited for. */
async function show(cache: Cache, seconds: number, values: OptionValues, io: CliIo): Promise<void> {
  const end = new AbortController()
  const ended = new Promise<void>((resolve) => end.signal.addEventListener('abort', () => resolve()))
  const stop = () => end.abort()
  const samples: TopSample[] = []
  const onKey = (key: string) => {
    if (keysThatEnd.has(key)) stop()
  }
  const screen = new Screen(
    io.stdout,
    io.stdin,
    onKey,
    values['no-color'] === true || Boolean(io.env.NO_COLOR),
  )
  const draw = () => {
    const waiting = [{ text: `asking, for ${seconds} s; q ends it`, isHeading: false }]
    screen.draw(samples.length === 0 ? waiting : frameOf(samples, screen.size))
  }
  const resume = () => {
    screen.enter()
    draw()
  }
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const signal of signals) process.on(signal, stop)
  process.on('SIGCONT', resume)
  io.stdout.on?.('resize', draw)
  io.signal?.addEventListener('abort', stop)
  try {
    resume()
    const drawing = drawAll(samplesOf(cache, seconds, io), samples, draw, end.signal)
    // Rejections that come after the end are nobody's any more.
    drawing.catch(() => {})
    await Promise.race([drawing, ended])
  } finally {
    screen.leave()
    stop()
    io.stdout.off?.('resize', draw)
    process.off('SIGCONT', resume)
    for (const signal of signals) process.off(signal, stop)
  }
}

async function drawAll(
  source: AsyncGenerator<TopSample>,
  samples: TopSample[],
  draw: () => void,
  ended: AbortSignal,
): Promise<void> {
  for await (const sample of source) {
    if (ended.aborted) return
    samples.push(sample)
    if (samples.length > samplesMost) samples.shift()
    draw()
  }
}
