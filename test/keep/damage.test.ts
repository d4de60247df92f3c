/** Damaged files of a real store: verify finds it, or every value is right. */
import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { Prng } from '../../src/base/prng.ts'
import type { Cache } from '../../src/index.ts'
import { doctor } from '../../src/keep/doctor.ts'
import { verify } from '../../src/keep/verify.ts'
import { testFolder } from '../support/folders.ts'
import { testSeed } from '../support/seed.ts'
import { openAt } from './values.ts'

const small = { memory: '1mb', __internal: { fileBytes: 1 << 20 } }
const count = 1200

/** Several files of log, deletes, clears, an index with some commits, and a tail that it does not have. */
async function made(dir: string): Promise<void> {
  const cache = await openAt(dir, small)
  const other = cache.namespace('other')
  for (let n = 0; n < count; n++) await cache.set(`key ${n}`, { n, text: 'x'.repeat(n * 3) })
  await other.set('gone', 1)
  for await (const _ of cache.scan({ limit: 1 }));
  await other.clear()
  for (let n = 0; n < count; n += 4) await cache.delete(`key ${n}`)
  for (let n = 1; n < count; n += 4) await cache.set(`key ${n}`, { n, text: 'again' })
  for await (const _ of cache.scan({ limit: 1 }));
  await other.set('late', 1)
  await cache.close()
}

async function faultsIn(cache: Cache): Promise<string[]> {
  const faults: string[] = []
  for (let n = 0; n < count; n++) {
    const wanted = n % 4 === 0 ? undefined : { n, text: n % 4 === 1 ? 'again' : 'x'.repeat(n * 3) }
    const found = await cache.get(`key ${n}`).catch((error: Error) => error.message)
    if (JSON.stringify(found) !== JSON.stringify(wanted)) faults.push(`key ${n}`)
  }
  const other = cache.namespace('other')
  if ((await other.get('gone')) !== undefined) faults.push('gone')
  if ((await other.get('late')) !== 1) faults.push('late')
  return faults
}

interface Outcome {
  readonly what: string
  readonly isSound: boolean
  readonly faults: readonly string[]
}

/** In another process: LMDB may take it along, which would be a finding too. */
function verifyElsewhere(dir: string): boolean {
  const cli = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
  const { status, stdout, stderr } = spawnSync(process.execPath, [cli, 'verify', '-d', dir, '--json'], {
    encoding: 'utf8',
  })
  if (status !== 0 && status !== 1) throw new Error(`verify ended with ${status}: ${stderr}`)
  const report = JSON.parse(stdout)
  expect(report.isSound).toBe(status === 0)
  return report.isSound
}

async function afterDamage(whole: string, name: string, random: Prng, isCut: boolean): Promise<Outcome> {
  const dir = testFolder()
  cpSync(whole, dir, { recursive: true })
  const path = join(dir, name)
  const { size } = statSync(path)
  const at = random.below(size)
  const what = `${name} ${isCut ? 'cut at' : 'with a flipped bit at'} ${at} of ${size}`
  if (isCut) truncateSync(path, at)
  else {
    const bytes = readFileSync(path)
    bytes[at] = (bytes[at] as number) ^ (1 << random.below(8))
    writeFileSync(path, bytes)
  }
  const isSound = verifyElsewhere(dir)
  if (!isSound) return { what, isSound, faults: [] }
  const cache = await openAt(dir, small)
  const faults = await faultsIn(cache)
  await cache.close()
  return { what, isSound, faults }
}

function logFiles(dir: string): string[] {
  const log = join(dir, 'ssd', 'log')
  return readdirSync(log)
    .filter((name) => name.endsWith('.log'))
    .map((name) => join(log, name))
}

describe('verify', () => {
  it.each([
    ['flipped bits', false, 8],
    ['truncations', true, 4],
  ])(
    'finds %s, or every value is right',
    async (_name, isCut, rounds) => {
      const random = new Prng(testSeed(`damage of ${_name}`))
      const whole = testFolder()
      await made(whole)
      expect(await verify(whole)).toMatchObject({ isSound: true, problems: [] })
      const files = (readdirSync(join(whole, 'ssd'), { recursive: true, encoding: 'utf8' }) as string[])
        .map((name) => join('ssd', name))
        .filter((name) => /names$|\.log$|\.mdb$/.test(name))
      expect(files.length).toBeGreaterThanOrEqual(4)
      const outcomes: Outcome[] = []
      for (let round = 0; round < rounds; round++) {
        // The log and the index in turn, and once the names.
        const name = files[round % files.length] as string
        outcomes.push(await afterDamage(whole, name, random, isCut))
      }
      // What it called sound must be right.
      expect(outcomes.filter(({ isSound, faults }) => isSound && faults.length > 0)).toEqual([])
      // And the damage is not all in bytes that mean nothing.
      expect(outcomes.filter(({ isSound }) => !isSound).length).toBeGreaterThan(0)
    },
    0,
  )

  it('finds each damaged part by its name', async () => {
    const dir = testFolder()
    await made(dir)
    // A record that stands.
    const log = logFiles(dir).find((path) => readFileSync(path).includes('key 1198')) as string
    const bytes = readFileSync(log)
    const flipped = Buffer.from(bytes)
    const at = bytes.lastIndexOf('key 1198') + 100
    flipped[at] = (flipped[at] as number) ^ 1
    writeFileSync(log, flipped)
    const report = await verify(dir)
    expect(report.isSound).toBe(false)
    expect(report.problems[0]?.part).toBe('log')
    expect(report.problems[0]?.message).toMatch(/\.log.*checksum of a batch/)
    expect(report.problems.some(({ part }) => part === 'index')).toBe(true)
    writeFileSync(log, bytes)
    rmSync(join(dir, 'ssd', 'names'))
    expect((await verify(dir)).problems).toMatchObject([{ part: 'names' }])
  })
})

describe('doctor', () => {
  it('makes a damaged index anew from the log, and everything is there again', async () => {
    const dir = testFolder()
    await made(dir)
    const path = join(dir, 'ssd', 'index', 'index.mdb')
    const bytes = readFileSync(path)
    // In the middle of the pages of rows.
    for (let at = 3 * 4096; at < bytes.length; at += 1500) bytes[at] = (bytes[at] as number) ^ 0x10
    writeFileSync(path, bytes)
    const before = await doctor(dir)
    expect(before.isHealthy).toBe(false)
    expect(before.findings.map(({ code }) => code)).toContain('damaged-index')
    expect(before.done).toEqual([])
    const after = await doctor(dir, { recover: true })
    expect(after.findings.filter(({ level }) => level === 'problem')).toEqual([])
    expect(after.isHealthy).toBe(true)
    expect(after.done[0]).toMatch(/moved the damaged index to .*index\.damaged/)
    expect(after.done[1]).toMatch(/made the index anew from the log/)
    expect(existsSync(join(dir, 'ssd', 'index.damaged'))).toBe(true)
    const cache = await openAt(dir, small)
    expect(await faultsIn(cache)).toEqual([])
    await cache.close()
  })

  it('leaves an index alone when the log is damaged too', async () => {
    const dir = testFolder()
    await made(dir)
    for (const path of [logFiles(dir)[0] as string, join(dir, 'ssd', 'index', 'index.mdb')]) {
      const bytes = readFileSync(path)
      for (let at = 3 * 4096; at < bytes.length; at += 1500) bytes[at] = (bytes[at] as number) ^ 0x10
      writeFileSync(path, bytes)
    }
    const report = await doctor(dir, { recover: true })
    expect(report.isHealthy).toBe(false)
    expect(report.done.filter((what) => what.includes('index.damaged'))).toEqual([])
    expect(report.findings.map(({ code }) => code)).toContain('damaged-log')
  })

  it('says that an index is missing, and a format newer', async () => {
    const dir = testFolder()
    await made(dir)
    rmSync(join(dir, 'ssd', 'index'), { recursive: true })
    expect((await doctor(dir)).findings.map(({ code }) => code)).toContain('missing-index')
    expect((await doctor(dir, { recover: true })).isHealthy).toBe(true)
    const cache = await openAt(dir, small)
    expect(await faultsIn(cache)).toEqual([])
    await cache.close()
    const names = join(dir, 'ssd', 'names')
    const bytes = readFileSync(names)
    bytes.writeUInt32LE(9, 8)
    writeFileSync(names, bytes)
    const { findings } = await doctor(dir, { recover: true })
    expect(findings.filter(({ level }) => level === 'problem').map(({ code }) => code)).toEqual([
      'newer-format',
    ])
  })
})
