/** Backup, restore, verify and doctor of a store with an HDD tier. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { setTimeout as after, setImmediate as nextTurn } from 'node:timers/promises'
import { ClassicLevel } from 'classic-level'
import { describe, expect, it } from 'vitest'
import { COMMANDS } from '../../src/cli/run.ts'
import { type Cache, open } from '../../src/index.ts'
import { backup } from '../../src/keep/backup.ts'
import { doctor } from '../../src/keep/doctor.ts'
import { restore } from '../../src/keep/restore.ts'
import { verify } from '../../src/keep/verify.ts'
import { runCli } from '../cli/support.ts'
import { patternOf } from '../support/blobs.ts'
import { failure } from '../support/errors.ts'
import { testFolder } from '../support/folders.ts'
import { openThreeTiers, type Placement } from '../support/stores.ts'
import { contentOf, valuesOfAllKinds } from './values.ts'

const tiny = { __internal: { fileBytes: 64 * 1024, ssdBudgetBytes: 0, warms: false } }

function openIn(dir: string): Promise<Cache> {
  return open({ dir, memory: '1mb', tiers: { hdd: { path: join(dir, 'hdd') } }, ...tiny })
}

const longKey = 'long '.repeat(600)

/** Entries of every kind in the HDD tier, and some above it. */
async function made(): Promise<Placement> {
  const placement = await openThreeTiers()
  const { cache } = placement
  for (const [key, value] of valuesOfAllKinds) await cache.set(key, value)
  for (let n = 0; n < 500; n++) await cache.set(`cold ${n}`, `${n}`.padEnd(200, '.'))
  await cache.set(longKey, 'long')
  await cache.set('replaced', 'old')
  await cache.set('deleted', 'old')
  await cache.namespace('cleared').set('x', 1)
  await pipeline([patternOf(100_000)], cache.createWriteStream('blob'))
  await placement.freeze()
  await cache.set('replaced', 'new')
  await cache.delete('deleted')
  await cache.namespace('cleared').clear()
  await cache.set('warm', 1)
  return placement
}

async function expectWhole(cache: Cache): Promise<void> {
  for (const [key, value] of valuesOfAllKinds) expect(await cache.get(key), key).toEqual(value)
  for (let n = 0; n < 500; n++) expect(await cache.get(`cold ${n}`)).toBe(`${n}`.padEnd(200, '.'))
  expect(await cache.get(longKey)).toBe('long')
  expect(await cache.get('replaced')).toBe('new')
  expect(await cache.get('deleted')).toBe(undefined)
  expect(await cache.namespace('cleared').get('x')).toBe(undefined)
  expect(await cache.get('warm')).toBe(1)
  expect(await contentOf(await cache.createReadStream('blob'))).toEqual(patternOf(100_000))
}

describe('a backup of three tiers', () => {
  it('has all of them, and is a store again with its HDD tier where it is told', async () => {
    const home = testFolder()
    const placement = await made()
    const { cache } = placement
    const report = await backup(cache, join(home, 'backup'))
    expect(report.entries).toBeGreaterThan(500)
    // Nothing of this is in it.
    await cache.clear()
    await cache.set('later', 1)
    await placement.end()
    const [from, to] = [join(home, 'backup'), join(home, 'restored')]
    const error = await failure('ERR_RAMCACHE_CONFIG', () => restore(from, to))
    expect(error.message).toContain('hdd must say where')
    await failure('ERR_RAMCACHE_CONFIG', () => restore(from, to, { hdd: to }))
    mkdirSync(join(home, 'full'))
    writeFileSync(join(home, 'full', 'mine'), 'mine')
    await failure('ERR_RAMCACHE_CONFIG', () => restore(from, to, { hdd: join(home, 'full') }))
    expect(existsSync(to)).toBe(false)
    await restore(from, to, { hdd: join(to, 'hdd') })
    const checked = await verify(to)
    expect(checked).toMatchObject({ isSound: true, problems: [], hdd: { path: join(to, 'hdd') } })
    expect(checked.hdd?.entries).toBeGreaterThan(500)
    expect(await doctor(to)).toMatchObject({ isHealthy: true })
    await failure('ERR_RAMCACHE_CONFIG', () => open({ dir: to, memory: '1mb', ...tiny }))
    const restored = await openIn(to)
    await expectWhole(restored)
    expect(await restored.get('later')).toBe(undefined)
    expect((await restored.stats()).tiers.hdd.hits).toBeGreaterThan(300)
    await restored.set('and', 'on')
    await restored.close()
    const again = await openIn(to)
    expect(await again.get('and')).toBe('on')
    expect((await verify(again)).problems).toEqual([])
    await again.close()
  })

  it('is whole while entries are written and go down', async () => {
    const home = testFolder()
    const dir = join(home, 'store')
    const cache = await openIn(dir)
    const written = new Map<string, number>()
    let round = 0
    const write = async (count: number) => {
      for (let n = 0; n < count; n++) {
        const key = `key ${(round * 7) % 6007}`
        written.set(key, ++round)
        await cache.set(key, { round, fill: 'x'.repeat(round % 700) })
      }
      await nextTurn()
    }
    await write(6000)
    await cache.flush()
    while ((await cache.stats()).tiers.hdd.entries < 1000) await after(20)
    for (let turn = 0; turn < 2; turn++) {
      const before = new Map(written)
      let isDone = false
      const copied = backup(cache, join(home, `backup ${turn}`)).finally(() => {
        isDone = true
      })
      do await write(100)
      while (!isDone)
      await copied
      const to = join(home, `restored ${turn}`)
      await restore(join(home, `backup ${turn}`), to, { hdd: join(to, 'hdd') })
      expect((await verify(to)).problems).toEqual([])
      const restored = await openIn(to)
      for (const [key, least] of before) {
        const found = (await restored.get(key)) as { round: number }
        expect(found?.round, key).toBeGreaterThanOrEqual(least)
        expect(found.round, key).toBeLessThanOrEqual(written.get(key) as number)
      }
      await restored.close()
      await write(1000)
    }
    await cache.close()
  })

  it('that is given up leaves nothing, and the next one is whole', async () => {
    const home = testFolder()
    const placement = await made()
    const stop = new AbortController()
    const given = backup(placement.cache, join(home, 'backup'), { signal: stop.signal })
    stop.abort(new Error('enough'))
    await expect(given).rejects.toThrow('enough')
    expect(existsSync(join(home, 'backup'))).toBe(false)
    await backup(placement.cache, join(home, 'backup'))
    await placement.end()
    const cli = (...argv: string[]) => runCli(argv, {}, COMMANDS)
    const to = join(home, 'restored')
    const hdd = join(home, 'slow')
    expect((await cli('restore', join(home, 'backup'), '-d', to)).exitCode).toBe(78)
    expect((await cli('restore', join(home, 'backup'), '-d', to, '--hdd', hdd)).exitCode).toBe(0)
    const verified = await cli('verify', '-d', to)
    expect(verified).toMatchObject({ exitCode: 0, stderr: '' })
    expect(verified.stdout).toMatch(/^hdd: \d+ entries$/m)
    const second = await cli('backup', join(home, 'second'), '-d', to, '--hdd', hdd, '--memory', '1mb')
    expect(second).toMatchObject({ exitCode: 0 })
    expect(readdirSync(join(home, 'second')).sort()).toEqual(['hdd', 'manifest.json', 'ssd'])
  })

  it('with a byte changed in any of its files is refused, and leaves nothing of either tier', async () => {
    const home = testFolder()
    const placement = await made()
    await backup(placement.cache, join(home, 'backup'))
    await placement.end()
    const names = readdirSync(join(home, 'backup', 'hdd'), { recursive: true, encoding: 'utf8' })
    const files = names.filter((name) => name === 'store' || name.startsWith('level/'))
    expect(files.length).toBeGreaterThanOrEqual(4)
    for (const name of files) {
      const path = join(home, 'backup', 'hdd', name)
      const bytes = readFileSync(path)
      if (bytes.length === 0) continue
      const flipped = Buffer.from(bytes)
      flipped[bytes.length >> 1] = (flipped[bytes.length >> 1] as number) ^ 4
      writeFileSync(path, flipped)
      const to = { dir: join(home, 'to'), hdd: join(home, 'hdd') }
      await failure('ERR_RAMCACHE_CORRUPT', () => restore(join(home, 'backup'), to.dir, { hdd: to.hdd }))
      expect([existsSync(to.dir), existsSync(to.hdd)], name).toEqual([false, false])
      writeFileSync(path, bytes)
    }
  })
})

describe('checks of the HDD tier', () => {
  async function closed(): Promise<{ dir: string; hdd: string; entries: number }> {
    const dir = testFolder()
    const cache = await openIn(dir)
    for (let n = 0; n < 3000; n++) await cache.set(`key ${n}`, `${n}`.padEnd(1000, '.'))
    await cache.flush()
    while ((await cache.stats()).tiers.hdd.entries < 1000) await nextTurn()
    await cache.close()
    const { isSound, hdd } = await verify(dir)
    expect(isSound).toBe(true)
    return { dir, hdd: join(dir, 'hdd'), entries: hdd?.entries as number }
  }

  async function change(hdd: string, work: (level: ClassicLevel<Buffer, Buffer>) => Promise<void>) {
    const level = new ClassicLevel<Buffer, Buffer>(join(hdd, 'level'), {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
    })
    await level.open()
    await work(level)
    await level.close()
  }

  const namespaceZero = Buffer.alloc(2)
  const keyed = (text: string) => Buffer.concat([namespaceZero, Buffer.from(text)])

  it('every entry, every count, and what is there instead', async () => {
    const { dir, hdd, entries } = await closed()
    let first: Buffer = Buffer.alloc(0)
    let second = first
    const keys: Buffer[] = []
    await change(hdd, async (level) => {
      keys.push(...(await level.keys({ gte: namespaceZero, limit: 3 }).all()))
      first = (await level.get(keys[0] as Buffer)) as Buffer
      second = (await level.get(keys[1] as Buffer)) as Buffer
    })
    const faultOf = async (key: Buffer, value: Buffer | undefined): Promise<string> => {
      const before = await changed(hdd, key, value)
      const report = await verify(dir)
      const ill = await doctor(dir)
      expect(ill.findings.map(({ code }) => code)).toContain('damaged-hdd')
      await changed(hdd, key, before)
      expect(report).toMatchObject({ isSound: false, problemCount: report.problems.length })
      expect(report.problems.map(({ part }) => part)).toEqual(report.problems.map(() => 'hdd'))
      return report.problems.map(({ message }) => message).join('\n')
    }
    const changed = async (path: string, key: Buffer, value: Buffer | undefined) => {
      let before: Buffer | undefined
      await change(path, async (level) => {
        before = await level.get(key)
        if (value === undefined) await level.del(key)
        else await level.put(key, value)
      })
      return before
    }
    const flipped = Buffer.from(first)
    flipped[100] = (flipped[100] as number) ^ 1
    expect(await faultOf(keys[0] as Buffer, flipped)).toContain('is damaged')
    expect(await faultOf(keys[0] as Buffer, second)).toContain('is damaged')
    expect(await faultOf(keys[0] as Buffer, undefined)).toContain(`has ${entries - 1} entries`)
    expect(await faultOf(Buffer.from([9, 9, 65]), first)).toContain('has no name')
    expect(await faultOf(keyed('short'), Buffer.alloc(3))).toContain('is damaged')
    expect((await verify(dir)).isSound).toBe(true)
  })

  it('finds a flipped bit in its files, or every value is right', async () => {
    const { dir, hdd } = await closed()
    const level = join(hdd, 'level')
    let found = 0
    for (const name of readdirSync(level).filter((file) => /\.ldb$|^\d+\.log$/.test(file))) {
      const path = join(level, name)
      const bytes = readFileSync(path)
      if (bytes.length < 100) continue
      const flipped = Buffer.from(bytes)
      flipped[bytes.length >> 1] = (flipped[bytes.length >> 1] as number) ^ 16
      const before = readdirSync(level).map((file) => [file, readFileSync(join(level, file))] as const)
      writeFileSync(path, flipped)
      const { isSound, problems } = await verify(dir)
      if (!isSound) found++
      for (const { part } of problems) expect(part).toBe('hdd')
      rmSync(level, { recursive: true })
      mkdirSync(level)
      for (const [file, content] of before) writeFileSync(join(level, file), content)
    }
    expect(found).toBeGreaterThan(0)
    expect((await verify(dir)).isSound).toBe(true)
  })

  it('a tier that is not there, or is of another store', async () => {
    const { dir, hdd } = await closed()
    const other = await closed()
    const codes = async (options = {}) => (await doctor(dir, options)).findings.map(({ code }) => code)
    expect(await codes()).not.toContain('foreign-hdd')
    expect(await codes({ hdd: other.hdd })).toContain('foreign-hdd')
    expect((await verify(dir, { hdd: other.hdd })).isSound).toBe(false)
    rmSync(join(hdd, 'level', 'CURRENT'))
    expect(await codes()).toContain('damaged-hdd')
    rmSync(hdd, { recursive: true })
    expect(await codes()).toContain('foreign-hdd')
    // Nothing is made where it was.
    expect(existsSync(hdd)).toBe(false)
    expect((await doctor(dir, { recover: true })).isHealthy).toBe(false)
  })
})
