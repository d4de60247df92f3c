import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SAMPLE_DIRECTORY, traceFile } from '../simulator/support.ts'
import { checkXml } from '../simulator/xml.ts'
import { commandsWith, runCli } from './support.ts'

const SAMPLE = join(SAMPLE_DIRECTORY, 'web12-sample.rct.gz')
let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'ramcache-replay-'))
  cpSync(SAMPLE, join(directory, 'sample.rct.gz'))
  const keys = Array.from({ length: 400 }, (_, i) => (i < 90 ? i : (i * i) % 90))
  const sizes = keys.map((key) => 100 * (1 + (key % 5)))
  writeFileSync(join(directory, 'mixed.rct.gz'), traceFile({ keys, sizes }))
  writeFileSync(join(directory, 'broken.rct.gz.part'), 'not looked at')
})
afterAll(() => rmSync(directory, { recursive: true }))

describe('which traces', () => {
  test('all of the directory in RAMCACHE_TRACES, in order of name', async () => {
    const { exitCode, stdout, stderr } = await runCli(['replay', '--json'], {
      env: { RAMCACHE_TRACES: directory },
    })
    expect(exitCode).toBe(0)
    const rows = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(rows.map((row) => [row.trace, row.fraction])).toEqual(
      ['mixed', 'sample'].flatMap((trace) => [0.01, 0.1, 0.3].map((fraction) => [trace, fraction])),
    )
    expect(stderr).toBe('replaying mixed: 400 requests\nreplaying sample: 6,000 requests\n')
  })

  test('a name stands for a trace of that directory, a path for itself', async () => {
    const io = { env: { RAMCACHE_TRACES: directory } }
    const argv = ['replay', 'mixed', SAMPLE, '--json', '--sizes', '10', '--policies', 'lru']
    const { stdout } = await runCli(argv, io)
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).trace),
    ).toEqual(['mixed', 'web12-sample'])
  })

  test('none at all is an error', async () => {
    const { exitCode, stderr } = await runCli(['replay'], {
      env: { RAMCACHE_TRACES: join(directory, 'nowhere') },
    })
    expect(exitCode).toBe(74)
    expect(stderr).toMatch(/cannot list traces: ENOENT/)
  })
})

describe('what it prints', () => {
  test('a table with the store last', async () => {
    const { exitCode, stdout } = await runCli(['replay', SAMPLE, '--sizes', '1,10'])
    expect(exitCode).toBe(0)
    const lines = stdout.split('\n')
    expect(lines[0]).toMatch(/^trace +size +capacity .* FIFO +LRU +SIEVE +S3-FIFO +Belady +store /)
    expect(lines[1]).toMatch(/^web12-sample +1 % +112 KiB +objects +0\.7582 +0\.7478 /)
    expect(lines.at(-2)).toMatch(/^store below LRU: 0 of 2; highest store \/ LRU 1\.000/)
  })

  test('JSON with stable field names', async () => {
    const { stdout } = await runCli(['replay', SAMPLE, '--sizes=10', '--json', '--policies', 's3_fifo,Store'])
    const ratios = { objectMissRatio: expect.any(Number), byteMissRatio: expect.any(Number) }
    expect(JSON.parse(stdout)).toStrictEqual({
      trace: 'web12-sample',
      requests: 6000,
      uniqueKeys: 2794,
      footprintBytes: 2794 * 4096,
      fraction: 0.1,
      capacityBytes: 279 * 4096,
      capacityObjects: 279,
      policies: { 'S3-FIFO': ratios },
      store: {
        ...ratios,
        name: 'store',
        requestsPerSecond: expect.any(Number),
        entries: expect.any(Number),
        overheadBytesPerEntry: 31,
        everythingCounted: ratios,
      },
    })
  })

  test('--limit and --objects change what is replayed', async () => {
    const path = join(directory, 'mixed.rct.gz')
    const argv = [
      'replay',
      path,
      '--json',
      '--sizes',
      '10',
      '--limit',
      '50',
      '--objects',
      '--policies',
      'fifo',
    ]
    const { stdout } = await runCli(argv)
    expect(JSON.parse(stdout)).toMatchObject({
      requests: 50,
      uniqueKeys: 50,
      capacityObjects: 5,
      store: null,
    })
  })

  test('--svg draws more sizes than the table has by default', async () => {
    const path = join(directory, 'curves.svg')
    const { exitCode } = await runCli(['replay', SAMPLE, '--svg', path, '--policies', 'lru,belady'])
    expect(exitCode).toBe(0)
    const elements = checkXml(readFileSync(path, 'utf8'))
    expect(elements.filter((element) => element === 'polyline')).toHaveLength(2)
    expect(elements.filter((element) => element === 'circle')).toHaveLength(16)
  })

  test('on a terminal a bar that is gone in the end', async () => {
    const drawn: string[] = []
    let time = 0
    const stderr = { write: (text: string) => drawn.push(text), isTTY: true, columns: 40 }
    // Every look at the clock is later than the pause between two pictures.
    await runCli(['replay', SAMPLE, '--sizes', '10'], { stderr, now: () => (time += 200) })
    const clearLine = '\r\x1b[K'
    expect(drawn[0]?.startsWith(`${clearLine}web12-sample [###---`)).toBe(true)
    expect(drawn.at(-1)).toBe(clearLine)
    expect(Math.max(...drawn.map((text) => text.length))).toBeLessThanOrEqual(clearLine.length + 39)
  })
})

describe('exit codes', () => {
  test.each([
    [['--sizes', '0'], /--sizes takes percentages/],
    [['--sizes', '1,,10'], /--sizes takes percentages/],
    [['--sizes', '101'], /--sizes takes percentages/],
    [['--sizes', 'ten'], /--sizes takes percentages/],
    [['--policies', 'LUR'], /unknown policy "LUR"; did you mean LRU\?/],
    [['--policies', 'clairvoyance'], /known: FIFO, LRU, SIEVE, S3-FIFO, Belady, store/],
    [['--limit', '1e3'], /--limit takes a whole number/],
    [['--limit', '0'], /--limit takes a whole number/],
  ])('2 for %j', async (argv, message) => {
    const { exitCode, stdout, stderr } = await runCli(['replay', SAMPLE, ...argv])
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' })
    expect(stderr).toMatch(message)
  })

  test('74 for a file that is absent, is no trace, or cannot be written', async () => {
    const absent = await runCli(['replay', join(directory, 'absent.rct.gz')])
    expect(absent).toMatchObject({ exitCode: 74, stdout: '' })
    expect(absent.stderr).toMatch(/^ramcache replay: ENOENT.*absent\.rct\.gz/)
    const broken = await runCli(['replay', join(directory, 'broken.rct.gz.part')])
    expect(broken.exitCode).toBe(74)
    expect(broken.stderr).toMatch(/broken\.rct\.gz\.part: not a usable trace: gzip/)
    const unwritable = await runCli([
      'replay',
      SAMPLE,
      '--policies',
      'lru',
      '--svg',
      join(directory, 'no', 'x.svg'),
    ])
    expect(unwritable.exitCode).toBe(74)
  })

  test('74 for a store that does not open', async () => {
    const commands = commandsWith(async () => {
      throw new Error('no shared memory')
    })
    const { exitCode, stderr } = await runCli(['replay', SAMPLE, '--sizes', '10'], {}, commands)
    expect(exitCode).toBe(74)
    expect(stderr).toMatch(/no store of 1142784 bytes: no shared memory/)
  })

  test('130 when interrupted', async () => {
    const stop = new AbortController()
    stop.abort()
    expect(await runCli(['replay', SAMPLE], { signal: stop.signal })).toMatchObject({
      exitCode: 130,
      stdout: '',
    })
  })
})
