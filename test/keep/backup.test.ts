/** Backup and restore: what was written before a backup is in the store that is restored from it. */
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { Prng } from '../../src/base/prng.ts'
import type { Cache } from '../../src/index.ts'
import { backup } from '../../src/keep/backup.ts'
import { restore } from '../../src/keep/restore.ts'
import { verify } from '../../src/keep/verify.ts'
import { patternOf } from '../support/blobs.ts'
import { failure } from '../support/errors.ts'
import { testFolder } from '../support/folders.ts'
import { testSeed } from '../support/seed.ts'
import { allOf, comparable, contentOf, openAt, valuesOfAllKinds } from './values.ts'

const small = { memory: '1mb', __internal: { fileBytes: 1 << 20 } }

async function fill(cache: Cache): Promise<void> {
  for (const [key, value] of valuesOfAllKinds) await cache.set(key, value, { tags: ['t'], ttl: '1h' })
  const users = cache.namespace('users')
  for (let id = 0; id < 3000; id++) await users.set(`u${id}`, { id, text: 'x'.repeat(id % 900) })
  for (let id = 0; id < 3000; id += 3) await users.delete(`u${id}`)
  await cache.namespace('cleared').set('x', 1)
  await cache.namespace('cleared').clear()
  await pipeline([patternOf(200_000)], cache.createWriteStream('blob'))
}

describe('a backup', () => {
  it('has everything that was written before it', async () => {
    const home = testFolder()
    const cache = await openAt(join(home, 'store'), small)
    await fill(cache)
    const before = comparable(await allOf(cache))
    const report = await backup(cache, join(home, 'backup'))
    expect(report.entries).toBeGreaterThan(2000)
    // Nothing of this is in it.
    await cache.set('later', 1)
    await cache.namespace('users').clear()
    await cache.close()
    await restore(join(home, 'backup'), join(home, 'restored'))
    expect(await verify(join(home, 'restored'))).toMatchObject({ isSound: true, problems: [] })
    const restored = await openAt(join(home, 'restored'), small)
    expect(comparable(await allOf(restored))).toEqual(before)
    await restored.set('and', 'on')
    await restored.close()
    const again = await openAt(join(home, 'restored'), small)
    expect(await again.get('and')).toBe('on')
    expect(await contentOf(await again.createReadStream('blob'))).toEqual(patternOf(200_000))
    await again.close()
  })

  it('is whole while the store is written to and its log is drained', async () => {
    const random = new Prng(testSeed('backup beside writes'))
    const home = testFolder()
    const cache = await openAt(join(home, 'store'), small)
    const written = new Map<string, number>()
    let round = 0
    const write = async (count: number) => {
      for (let n = 0; n < count; n++) {
        const key = `key ${random.below(1500)}`
        written.set(key, ++round)
        await cache.set(key, { round, fill: 'x'.repeat(random.below(1500)) })
      }
      // Sets alone leave no turn to anything else.
      await nextTurn()
    }
    await write(4000)
    for (let turn = 0; turn < 4; turn++) {
      const before = new Map(written)
      let isDone = false
      const copied = backup(cache, join(home, `backup ${turn}`)).finally(() => {
        isDone = true
      })
      do await write(200)
      while (!isDone)
      await copied
      await restore(join(home, `backup ${turn}`), join(home, `restored ${turn}`))
      const report = await verify(join(home, `restored ${turn}`))
      expect(report.problems).toEqual([])
      const restored = await openAt(join(home, `restored ${turn}`), small)
      for (const [key, least] of before) {
        const found = (await restored.get(key)) as { round: number }
        expect(found.round, key).toBeGreaterThanOrEqual(least)
        expect(found.round, key).toBeLessThanOrEqual(written.get(key) as number)
      }
      await restored.close()
      await write(2000)
    }
    expect((await verify(cache)).problems).toEqual([])
    await cache.close()
  })

  it('goes nowhere but into an empty directory, and leaves nothing when it is given up', async () => {
    const home = testFolder()
    const cache = await openAt(join(home, 'store'), small)
    await fill(cache)
    mkdirSync(join(home, 'full'))
    writeFileSync(join(home, 'full', 'mine'), 'mine')
    const error = await failure('ERR_RAMCACHE_CONFIG', () => backup(cache, join(home, 'full')))
    expect(error.message).toMatch(/must be empty or new, but .*full has mine/)
    expect(readdirSync(join(home, 'full'))).toEqual(['mine'])
    const stop = new AbortController()
    const given = backup(cache, join(home, 'given up'), { signal: stop.signal })
    stop.abort(new Error('enough'))
    await expect(given).rejects.toThrow('enough')
    expect(existsSync(join(home, 'given up'))).toBe(false)
    await backup(cache, join(home, 'given up'))
    // A closing store gives it up too.
    const cut = failure('ERR_RAMCACHE_CLOSED', () => backup(cache, join(home, 'cut')))
    await cache.close()
    await cut
    const ram = await openAt(join(home, 'ram'), { tiers: { ssd: false } })
    await failure('ERR_RAMCACHE_CONFIG', () => backup(ram, join(home, 'of ram')))
    await ram.close()
  })
})

describe('a restore', () => {
  async function made(): Promise<{ home: string; from: string }> {
    const home = testFolder()
    const cache = await openAt(join(home, 'store'), small)
    await cache.set('a', 1)
    await backup(cache, join(home, 'backup'))
    await cache.close()
    return { home, from: join(home, 'backup') }
  }

  it('refuses whatever has changed, and writes nothing then', async () => {
    const { home, from } = await made()
    const files = (readdirSync(from, { recursive: true, encoding: 'utf8' }) as string[]).filter((name) =>
      /\.|names/.test(name),
    )
    expect(files.length).toBeGreaterThanOrEqual(4)
    for (const name of files) {
      const path = join(from, name)
      const bytes = readFileSync(path)
      for (const at of [0, bytes.length >> 1, bytes.length - 2]) {
        const flipped = Buffer.from(bytes)
        flipped[at] = (flipped[at] as number) ^ 4
        writeFileSync(path, flipped)
        await failure('ERR_RAMCACHE_CORRUPT', () => restore(from, join(home, 'restored')))
      }
      truncateSync(path, bytes.length - 1)
      if (!name.endsWith('.json'))
        await failure('ERR_RAMCACHE_CORRUPT', () => restore(from, join(home, 'restored')))
      writeFileSync(path, bytes)
      appendFileSync(path, ' x')
      await failure('ERR_RAMCACHE_CORRUPT', () => restore(from, join(home, 'restored')))
      rmSync(path)
      await expect(restore(from, join(home, 'restored'))).rejects.toThrow()
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, bytes)
    }
    expect(readdirSync(home).sort()).toEqual(['backup', 'store'])
    await restore(from, join(home, 'restored'))
  })

  it('refuses a target that is not empty, and puts the SSD tier where it is told', async () => {
    const { home, from } = await made()
    await failure('ERR_RAMCACHE_CONFIG', () => restore(from, join(home, 'store')))
    await failure('ERR_RAMCACHE_UNAVAILABLE', () => restore(join(home, 'store'), join(home, 'restored')))
    mkdirSync(join(home, 'restored'))
    await restore(from, join(home, 'restored'), { ssd: join(home, 'fast', 'ssd') })
    expect(readdirSync(join(home, 'restored'))).toEqual([])
    const cache = await openAt(join(home, 'restored'), {
      tiers: { ssd: { path: join(home, 'fast', 'ssd') } },
    })
    expect(await cache.get('a')).toBe(1)
    await cache.close()
  })

  it('refuses a backup of a newer version', async () => {
    const { home, from } = await made()
    const path = join(from, 'manifest.json')
    const { createHash } = await import('node:crypto')
    const { sha256: _, ...manifest } = JSON.parse(readFileSync(path, 'utf8'))
    const newer = { ...manifest, ramcacheBackup: 2 }
    const sha256 = createHash('sha256').update(JSON.stringify(newer)).digest('hex')
    writeFileSync(path, JSON.stringify({ ...newer, sha256 }))
    const error = await failure('ERR_RAMCACHE_CORRUPT', () => restore(from, join(home, 'restored')))
    expect(error.message).toMatch(/format version 2, this version of ramcache reads 1/)
  })
})
