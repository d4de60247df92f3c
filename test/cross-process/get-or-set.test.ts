/** One computation for all processes of the machine, whoever of them dies. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Cache, open } from '../../src/index.ts'
import { DaemonProcess } from '../daemon/support.ts'

const processes = 8
const calls = 1000
const ramOnly = { tiers: { ssd: false as const }, memory: '8mb' }

interface Said {
  readonly ready?: true
  readonly called?: true
  readonly done?: unknown[]
  readonly count?: number
}

class Filler {
  readonly process: ChildProcess
  readonly said: Said[] = []
  #told: () => void = () => {}

  constructor(how: 'open' | 'connect', place: string) {
    const path = fileURLToPath(new URL('./children/filler.mjs', import.meta.url))
    const args = [how, place, JSON.stringify(ramOnly)]
    this.process = fork(path, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.process.on('message', (said: Said) => {
      this.said.push(said)
      this.#told()
    })
  }

  async until(isSo: (said: Said) => boolean): Promise<Said> {
    for (;;) {
      const found = this.said.find(isSo)
      if (found !== undefined) return found
      await new Promise<void>((resolve) => {
        this.#told = resolve
      })
    }
  }

  send(...message: unknown[]): void {
    this.process.send(message)
  }

  async end(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return
    const exit = once(this.process, 'exit')
    this.process.kill(signal)
    await exit
  }
}

let dir: string
let fillers: Filler[]

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ramcache-'))
  fillers = []
})

afterEach(async () => {
  for (const filler of fillers) await filler.end()
  rmSync(dir, { recursive: true, force: true })
})

const wasCalled = ({ called }: Said) => called === true
const isDone = ({ done }: Said) => done !== undefined

async function startAll(how: 'open' | 'connect', place: string): Promise<void> {
  fillers = Array.from({ length: processes }, () => new Filler(how, place))
  for (const filler of fillers) await filler.until(({ ready }) => ready === true)
}

/** The one whose factory runs. */
function leader(): Promise<Filler> {
  return Promise.race(fillers.map((filler) => filler.until(wasCalled).then(() => filler)))
}

function callsOfFactories(): number {
  return fillers.flatMap(({ said }) => said.filter(wasCalled)).length
}

async function oneForAll(): Promise<void> {
  for (const filler of fillers) filler.send('ask', 'k', calls)
  const first = await leader()
  first.send('make', 'computed')
  for (const filler of fillers) {
    expect(await filler.until(isDone)).toMatchObject({ done: ['computed'], count: calls })
  }
  expect(callsOfFactories()).toBe(1)
}

async function oneMoreForADeadOne(): Promise<void> {
  for (const filler of fillers) filler.send('ask', 'k', calls)
  const first = await leader()
  await first.end()
  fillers = fillers.filter((filler) => filler !== first)
  const second = await leader()
  second.send('make', 'computed by the next')
  for (const filler of fillers) {
    expect(await filler.until(isDone)).toMatchObject({ done: ['computed by the next'], count: calls })
  }
  expect(callsOfFactories()).toBe(1)
}

describe('processes that have joined an owner', () => {
  let owner: Cache

  beforeEach(async () => {
    owner = await open({ dir, ...ramOnly })
    await startAll('open', dir)
  })

  afterEach(() => owner.close())

  it('compute once for eight thousand callers', oneForAll)
  it('compute once more when the one that does is killed', oneMoreForADeadOne)

  it('give what the owner computes, and the other way round', async () => {
    const [filler] = fillers as [Filler]
    filler.send('ask', 'theirs', 10)
    await filler.until(wasCalled)
    const waiting = owner.getOrSet('theirs', () => 'not this')
    filler.send('make', 'theirs')
    expect(await waiting).toBe('theirs')
    await filler.until(isDone)
    filler.said.length = 0
    let make: (value: string) => void = () => {}
    let call: () => void = () => {}
    const called = new Promise<void>((resolve) => {
      call = resolve
    })
    const made = new Promise<string>((resolve) => {
      make = resolve
    })
    const own = owner.getOrSet('own', () => {
      call()
      return made
    })
    await called
    filler.send('ask', 'own', 10)
    make('own')
    expect(await own).toBe('own')
    expect(await filler.until(isDone)).toMatchObject({ done: ['own'] })
    expect(filler.said.some(wasCalled)).toBe(false)
  })

  it('go on when the owner is gone: each computes for itself', async () => {
    const [filler, ...others] = fillers as [Filler, ...Filler[]]
    for (const other of others) await other.end()
    filler.send('ask', 'k', 10)
    await filler.until(wasCalled)
    await owner.close()
    filler.send('make', 'computed all the same')
    expect(await filler.until(isDone)).toMatchObject({ done: ['computed all the same'], count: 10 })
  })
})

describe('clients of a daemon', () => {
  let daemon: DaemonProcess

  beforeEach(async () => {
    daemon = await DaemonProcess.start(['--dir', dir, '--memory', '8mb'])
    await startAll('connect', `unix://${daemon.socket}`)
  })

  afterEach(() => daemon.end('SIGKILL'))

  it('compute once for eight thousand callers', oneForAll)
  it('compute once more when the one that does is killed', oneMoreForADeadOne)
})
