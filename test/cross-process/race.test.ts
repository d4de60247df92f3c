/**
 * Eight processes over one store: a daemon, writers and readers, each of them killed at random. No reader may ever see half
 * a value, another one's, or an older one than was acknowledged before it began to read; and all hits count together.
 *
 * RAMCACHE_RACE_READS sets how many reads there are.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { Prng } from '../../src/base/prng.ts'
import { connect, open } from '../../src/index.ts'
import { DaemonProcess } from '../daemon/support.ts'
import { testSeed } from '../support/seed.ts'

const readsLeast = Number(process.env.RAMCACHE_RACE_READS ?? 300_000)
const readers = 5
const keys = 64

let folder: string
let dir: string
let path: string
let daemon: DaemonProcess
let running: Racer[]
/** Called when a racer has said something, or has ended. */
let heard: () => void = () => {}

const hear = () =>
  new Promise<void>((resolve) => {
    heard = resolve
  })

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ramcache-'))
  dir = join(folder, 'store')
  path = join(folder, 'numbers')
  writeFileSync(path, Buffer.alloc(keys * 8))
  running = []
  daemon = await startDaemon()
})

afterEach(async () => {
  for (const racer of running) racer.process.kill('SIGKILL')
  await daemon.end('SIGKILL')
  // Who opens it next takes over what a killed owner has left in shared memory.
  await (await open({ dir, memory: '2mb', listen: false })).close()
  rmSync(folder, { recursive: true, force: true })
})

/** Far too small for what is written: segments are recycled all the time. */
const startDaemon = () => DaemonProcess.start(['--dir', dir, '--memory', '2mb'])

class Racer {
  readonly process: ChildProcess
  readonly role: string
  readonly number: number
  reads = 0
  wrong: string | undefined
  hasEnded = false

  static async start(role: string, number: number): Promise<Racer> {
    const racer = new Racer(role, number)
    running.push(racer)
    await once(racer.process, 'message')
    return racer
  }

  private constructor(role: string, number: number) {
    this.role = role
    this.number = number
    const script = fileURLToPath(new URL('children/racer.mjs', import.meta.url))
    this.process = fork(script, [role, `unix://${daemon.socket}`, path, String(number)])
    this.process.on('message', (message: { reads?: number; wrong?: string; isEnd?: true } | 'ready') => {
      if (message === 'ready') return
      this.reads = message.reads ?? this.reads
      this.wrong ??= message.wrong
      this.hasEnded ||= message.isEnd === true
      heard()
    })
    this.process.on('exit', (code, signal) => {
      if (signal !== 'SIGKILL' && code !== 0) this.wrong ??= `a ${role} ended with ${code ?? signal}`
      heard()
    })
  }

  async kill(): Promise<void> {
    const ended = once(this.process, 'exit')
    this.process.kill('SIGKILL')
    await ended
  }
}

function findWrong(): void {
  for (const { wrong } of running) if (wrong !== undefined) throw new Error(wrong)
}

it('no reader sees half a value or an old one, whoever is killed', { timeout: 0 }, async () => {
  const random = new Prng(testSeed('race'))
  const first = await Racer.start('writer', 0)
  await Racer.start('writer', 1)
  for (let number = 0; number < readers; number++) await Racer.start('reader', number)
  expect(first.process.exitCode).toBeNull()
  const readsOf = () => running.reduce((sum, { reads }) => sum + reads, 0)
  const killed = { reader: 0, writer: 0, daemon: 0 }
  for (let kill = 0; readsOf() < readsLeast || kill < 9; kill++) {
    const until = readsOf() + Math.min(readsLeast / 12, 200_000)
    while (readsOf() < until) {
      findWrong()
      await hear()
    }
    const who = (['reader', 'writer', 'daemon'] as const)[kill % 3] as keyof typeof killed
    killed[who]++
    if (who === 'daemon') {
      await daemon.end('SIGKILL')
      daemon = await startDaemon()
      continue
    }
    const racer = random.pick(
      running.filter(({ role, process }) => role === who && process.signalCode === null),
    )
    await racer.kill()
    await Racer.start(who, racer.number)
  }
  const last = running.filter(({ role, process }) => role === 'reader' && process.signalCode === null)
  for (const reader of last) reader.process.send('end')
  while (!last.every(({ hasEnded }) => hasEnded)) {
    findWrong()
    await hear()
  }
  findWrong()
  console.log(`race: ${readsOf()} reads, killed ${JSON.stringify(killed)}`)
})

it('hits of all processes are counted together', async () => {
  await using cache = await connect(`unix://${daemon.socket}`)
  await cache.set('counted', 'here')
  const counters = await Promise.all(Array.from({ length: 6 }, (_, number) => Racer.start('counter', number)))
  const before = (await cache.stats()).hits
  const answers = counters.map(({ process }) => once(process, 'message'))
  for (const [index, { process }] of counters.entries()) process.send(1000 + index)
  for (const [index, answer] of answers.entries())
    expect(await answer).toEqual([{ found: 1000 + index }, undefined])
  expect((await cache.stats()).hits - before).toBe(6015)
})
