/** The drain of the log: space comes back, nothing else does, also when the process is killed in the middle. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as after } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { Prng } from '../../src/base/prng.ts'
import { type Cache, open } from '../../src/index.ts'
import { binding } from '../../src/native/binding.ts'
import { testFolder } from '../support/folders.ts'
import { testSeed } from '../support/seed.ts'
import { batchOf, keyCount, openOptions } from './children/drain-batches.mjs'

const mebibyte = 1024 * 1024
const fileBytes = mebibyte
const options = (dir: string) => ({ dir, memory: '4mb' as const, ...{ __internal: { fileBytes } } })

function logState(dir: string) {
  const handle = binding().joinStore(dir)
  const { files, bytesWritten, bytesCopied } = binding().logState(handle)
  binding().closeStore(handle, false)
  const sizes = files.filter((_, at) => at % 2 === 1)
  // The newest is allocated whole.
  return { closedBytes: sizes.slice(0, -1).reduce((sum, bytes) => sum + bytes, 0), bytesWritten, bytesCopied }
}

/** Resolves when the drains have brought the log down to so many bytes, with the file that is being filled beside. */
async function drained(dir: string, bytes: number) {
  for (;;) {
    const state = logState(dir)
    if (state.closedBytes <= bytes) return state
    await after(20)
  }
}

async function check(
  cache: Cache,
  model: ReadonlyMap<string, string>,
  keys: readonly string[],
): Promise<void> {
  const wrong: string[] = []
  for (const key of keys) if ((await cache.get(key)) !== model.get(key)) wrong.push(key)
  expect(wrong).toEqual([])
}

it('ten times the budget, a third of it overwritten: the log is no larger than what lives in it', async () => {
  const dir = testFolder()
  const count = 10_000
  const keys = Array.from({ length: count }, (_, n) => `key ${n}`)
  const model = new Map<string, string>()
  let userBytes = 0
  let cache = await open(options(dir))
  const set = async (key: string, version: number) => {
    const value = `${key}/${version}/`.padEnd(4000, 'v')
    userBytes += key.length + value.length
    model.set(key, value)
    await cache.set(key, value)
  }
  for (const key of keys) await set(key, 1)
  for (const [n, key] of keys.entries()) if (n % 3 === 0) await set(key, 2)
  for (const [n, key] of keys.entries()) {
    if (n % 40 !== 1) continue
    model.delete(key)
    await cache.delete(key)
  }
  await cache.flush()
  let live = 0
  for (const [key, value] of model) live += key.length + value.length
  const { closedBytes, bytesWritten, bytesCopied } = await drained(dir, live * 1.15)
  const ratio = (bytes: number, of: number) => (bytes / of).toFixed(3)
  console.log(
    `log per live byte ${ratio(closedBytes, live)}, written per user byte ${ratio(bytesWritten + bytesCopied, userBytes)}`,
  )
  expect((bytesWritten + bytesCopied) / userBytes).toBeLessThan(2)
  await check(cache, model, keys)
  await cache.close()

  cache = await open(options(dir))
  await check(cache, model, keys)
  await cache.close()

  // Out of nothing but the files that are left.
  rmSync(join(dir, 'ssd', 'index'), { recursive: true })
  cache = await open(options(dir))
  await check(cache, model, keys)
  expect(await cache.clear()).toBeUndefined()
  model.clear()
  await set('key 1', 3)
  await cache.flush()
  await cache.close()
  rmSync(join(dir, 'ssd', 'index'), { recursive: true })
  cache = await open(options(dir))
  await check(cache, model, keys)
  await cache.close()
}, 0)

it('a drain goes through no more in a second than its budget', async () => {
  const dir = testFolder()
  const [rate, small] = [mebibyte, 256 * 1024]
  // A batch that does not fit ends a file early.
  const leastBytes = small * 0.7
  const tiers = { ssd: { ioBudget: rate } }
  const cache = await open({ dir, memory: '4mb', tiers, ...{ __internal: { fileBytes: small } } })
  const handle = binding().joinStore(dir)
  const numbers = () =>
    binding()
      .logState(handle)
      .files.filter((_, at) => at % 2 === 0)
  const startedAt = performance.now()
  // They are numbered from 1.
  const gone = () => Math.max(...numbers()) - numbers().length
  // All of it garbage but the last few.
  for (let n = 0; n < 6000; n++) await cache.set(`key ${n % 50}`, 'v'.repeat(1000))
  await cache.flush()
  // Files go some time after they were gone through, so it counts from the beginning.
  while (gone() < 10) await after(5)
  expect(((performance.now() - startedAt) / 1000) * rate).toBeGreaterThan(9 * leastBytes)
  binding().closeStore(handle, false)
  await cache.close()
}, 0)

const rounds = 4

it.each([
  ['drains', false],
  ['demotes to an HDD tier', true],
])(
  'killed while it %s, with or without its arena and its index',
  async (_, hasHdd) => {
    const seed = testSeed('drain crash')
    const random = new Prng(seed)
    const dir = testFolder()
    const model = new Map<string, string>()
    let next = 0
    for (let round = 0; round < rounds; round++) {
      const { last, moved } = await runAndKill(random, dir, seed, next, hasHdd)
      for (; next <= last; next++) for (const [key, value] of batchOf(seed, next)) note(model, key, value)
      // What was being written may be there or not.
      const pending = new Map<string, (string | undefined)[]>()
      for (const [key, value] of batchOf(seed, next)) pending.set(key, [...(pending.get(key) ?? []), value])
      const isArenaLost = round % 2 === 1
      const isIndexLost = round % 3 === 2
      if (isArenaLost) loseArena(dir)
      if (isIndexLost) rmSync(join(dir, 'ssd', 'index'), { recursive: true })
      console.log(`drain crash: ${last} batches, ${moved} moved`, { hasHdd, isArenaLost, isIndexLost })
      expect(moved).toBeGreaterThan(0)
      const cache = await open(openOptions(dir, hasHdd))
      for (let key = 0; key < keyCount; key++) {
        const name = `key ${key}`
        const allowed = [model.get(name), ...(pending.get(name) ?? [])]
        const found = (await cache.get(name)) as string | undefined
        if (!allowed.includes(found))
          expect({ name, found: found?.slice(0, 20) }).toEqual({
            name,
            allowed: allowed.map((value) => value?.slice(0, 20)),
          })
      }
      await cache.close()
    }
  },
  0,
)

function note(model: Map<string, string>, key: string, value: string | undefined): void {
  if (value === undefined) model.delete(key)
  else model.set(key, value)
}

/** Runs the writer, kills it a random time after some batches; the last batch that was on disk. */
async function runAndKill(random: Prng, dir: string, seed: number, first: number, hasHdd: boolean) {
  const path = fileURLToPath(new URL('children/drain-writer.mjs', import.meta.url))
  const child = spawn(process.execPath, [path, dir, String(seed), String(first), hasHdd ? 'hdd' : ''], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  const isDraining = new Promise<void>((resolve) => {
    child.stdout.on('data', (chunk) => {
      output += chunk
      if (/ [1-9]/.test(output)) resolve()
    })
  })
  const ended = once(child, 'close')
  await Promise.race([isDraining, ended])
  // Any moment will do: what is checked holds at each of them.
  const timer = setTimeout(() => child.kill('SIGKILL'), random.below(1500))
  const [, signal] = await ended
  clearTimeout(timer)
  expect(signal).toBe('SIGKILL')
  const [last, moved] =
    output.slice(0, output.lastIndexOf('\n')).split('\n').at(-1)?.split(' ').map(Number) ?? []
  return { last: last as number, moved: moved as number }
}

/** As a power cut would: what was only in memory is gone. */
function loseArena(dir: string): void {
  const { data, touch } = JSON.parse(readFileSync(join(dir, 'owner'), 'utf8'))
  for (const path of [data, touch]) rmSync(path, { force: true })
}
