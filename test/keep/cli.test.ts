/** The verbs that keep a store: what they print and how they end. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { COMMANDS } from '../../src/cli/run.ts'
import { startOf } from '../../src/keep/arena-files.ts'
import { type Outcome, runCli } from '../cli/support.ts'
import { testFolder } from '../support/folders.ts'
import { OwnerProcess } from '../support/processes.ts'
import { openAt } from './values.ts'

async function cli(...argv: string[]): Promise<Outcome> {
  return runCli(argv, {}, COMMANDS)
}

async function madeStore(dir: string): Promise<void> {
  const cache = await openAt(dir)
  await cache.set('a', { x: 1 }, { tags: ['t'] })
  await cache.namespace('users').set('u1', 'Ada')
  await cache.close()
}

describe('the verbs', () => {
  it('export, import: lines to stdout, and back from stdin or a file', async () => {
    const home = testFolder()
    await madeStore(join(home, 's'))
    const exported = await cli('export', '-d', join(home, 's'))
    expect(exported).toMatchObject({ exitCode: 0, stderr: '' })
    const lines = exported.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines.map(({ ramcache, key }) => ramcache ?? key)).toEqual(['export', 'a', 'u1', 'batch', 'end'])
    expect(lines[1]).toMatchObject({ namespace: 'default', type: 'object', value: { x: 1 }, tags: ['t'] })
    const stdin = (async function* () {
      yield Buffer.from(exported.stdout)
    })()
    const imported = await runCli(['import', '-d', join(home, 'new'), '--json'], { stdin }, COMMANDS)
    expect(imported.exitCode).toBe(0)
    expect(JSON.parse(imported.stdout)).toEqual({ entries: 2, blobs: 0, expired: 0, kept: 0 })
    const only = await cli(
      'export',
      '-d',
      join(home, 'new'),
      '-n',
      'users',
      '--format',
      'binary',
      '-o',
      join(home, 'f'),
      '--json',
    )
    expect(JSON.parse(only.stdout)).toEqual({
      output: join(home, 'f'),
      bytes: readFileSync(join(home, 'f')).length,
    })
    expect(existsSync(join(home, 'f.part'))).toBe(false)
    const again = await cli('import', join(home, 'f'), '-d', join(home, 'new'), '--keep-existing')
    expect(again.stdout).toBe('0 entries imported (0 blobs), 0 had expired, 1 were there already\n')
  })

  it('backup, restore, verify, doctor', async () => {
    const home = testFolder()
    await madeStore(join(home, 's'))
    const copied = await cli('backup', join(home, 'b'), '-d', join(home, 's'), '--json')
    expect(JSON.parse(copied.stdout)).toMatchObject({ path: join(home, 'b'), files: expect.any(Number) })
    const restored = await cli('restore', join(home, 'b'), '-d', join(home, 'r'))
    expect(restored).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/as of \d{4}-/) })
    const sound = await cli('verify', '-d', join(home, 'r'))
    expect(sound).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/\nno problems\n$/) })
    const names = join(home, 'r', 'ssd', 'names')
    const bytes = readFileSync(names)
    bytes[20] = (bytes[20] as number) ^ 1
    writeFileSync(names, bytes)
    const found = await cli('verify', '-d', join(home, 'r'), '--json')
    expect(found.exitCode).toBe(1)
    expect(JSON.parse(found.stdout)).toMatchObject({
      isSound: false,
      problemCount: 1,
      problems: [{ part: 'names' }],
    })
    const ill = await cli('doctor', '-d', join(home, 'r'))
    expect(ill).toMatchObject({
      exitCode: 1,
      stdout: expect.stringMatching(/problem damaged-names: .*\nnot healthy\n$/s),
    })
    const well = await cli('doctor', '-d', join(home, 's'), '--json')
    expect(JSON.parse(well.stdout)).toMatchObject({ isHealthy: true, done: [] })
  })

  it('says who owns the directory, and leaves it alone', async () => {
    const dir = join(testFolder(), 's')
    await madeStore(dir)
    const owner = await OwnerProcess.start(dir)
    const pid = owner.process.pid
    for (const argv of [
      ['export'],
      ['import', '/dev/null'],
      ['backup', `${dir}-b`],
      ['verify'],
      ['doctor', '--recover'],
    ]) {
      const { exitCode, stderr } = await cli(...argv, '-d', dir)
      expect({ argv, exitCode }).toEqual({ argv, exitCode: 69 })
      expect(stderr).toMatch(new RegExp(`is owned by process ${pid}`))
    }
    const looked = await cli('doctor', '-d', dir, '--json')
    expect(looked.exitCode).toBe(0)
    const { ownerPid, findings } = JSON.parse(looked.stdout)
    expect({ ownerPid, first: findings[0].code }).toEqual({ ownerPid: pid, first: 'owned' })
    process.kill(pid as number, 'SIGSTOP')
    while (startOf(pid as number)?.state !== 'T') await nextTurn()
    const stopped = await cli('doctor', '-d', dir)
    expect(stopped).toMatchObject({ exitCode: 1, stdout: expect.stringMatching(/stopped-owner/) })
    process.kill(pid as number, 'SIGCONT')
    await owner.kill('SIGKILL')
  })

  it.each([
    [['export'], 2, /which store\? give -d DIR/],
    [['export', '-s', 'x'], 2, /that nobody has open: give -d DIR/],
    [['export', '-d', '/nowhere/at/all'], 74, /there is no directory/],
    [['verify', '-d', '/nowhere/at/all'], 74, /there is no directory/],
    [['export', '-d', '/tmp', '--format', 'xml'], 2, /--format is ndjson or binary, not "xml"/],
    [['export', '-d', '/tmp', '--json'], 2, /--json needs --output/],
    [['backup', '-d', '/tmp'], 2, /it takes one TARGET/],
    [['restore', '/nowhere', '-d', '/nowhere/at/all'], 74, /is no backup/],
    [['import', '-n', 'x'], 2, /unknown option -n/],
  ])('%j ends with %i', async (argv, code, message) => {
    const { exitCode, stdout, stderr } = await cli(...argv)
    expect({ exitCode, stdout }).toEqual({ exitCode: code, stdout: '' })
    expect(stderr).toMatch(message)
  })
})
