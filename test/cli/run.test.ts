import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { COMMANDS } from '../../src/cli/run.ts'
import { runCli } from './support.ts'

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))

describe('help and version', () => {
  test('without a verb: the overview, as an error', async () => {
    const { exitCode, stdout, stderr } = await runCli([])
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' })
    expect(stderr).toMatch(/^usage: ramcache VERB/)
  })

  test.each([['--help'], ['-h'], ['help']])('%s: the overview, as data', async (argument) => {
    const { exitCode, stdout, stderr } = await runCli([argument])
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
    expect(stdout).toContain('replay  summary of replay')
  })

  test.each([
    [['replay', '--help']],
    [['replay', '-h', 'x.rct.gz']],
    [['--help', 'replay']],
    [['help', 'replay']],
  ])('%j: help of the verb', async (argv) => {
    const { exitCode, stdout } = await runCli(argv)
    expect(exitCode).toBe(0)
    expect(stdout).toMatch(/^usage: ramcache replay /)
  })

  test.each([[['--version']], [['replay', '--version']]])('%j', async (argv) => {
    expect(await runCli(argv)).toEqual({ exitCode: 0, stdout: `${version}\n`, stderr: '' })
  })
})

describe('mistakes exit with 2, say what is wrong and what may have been meant', () => {
  test.each([
    [['repaly'], /unknown verb repaly; did you mean replay\?/],
    [['rep'], /did you mean replay\?/],
    [['zzz'], /unknown verb zzz \(/],
    [['help', 'repaly'], /did you mean replay\?/],
    [['--jsno'], /^ramcache: unknown option --jsno; did you mean --json\?/],
    [['replay', '--polices', 'LRU'], /^ramcache replay: unknown option --polices; did you mean --policies\?/],
    [['replay', '-x'], /unknown option -x /],
    [['-s', 'somewhere', 'replay'], /unknown option -s /],
    [['replay', '--constructor'], /unknown option --constructor/],
    [['replay', '--sizes'], /option --sizes needs a value/],
    [['replay', '--sizes', '--json'], /option --sizes needs a value/],
    [['replay', '--json=yes'], /option --json takes no value/],
  ])('%j', async (argv, message) => {
    const { exitCode, stdout, stderr } = await runCli(argv)
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' })
    expect(stderr).toMatch(message)
    expect(stderr.trim().split('\n')).toHaveLength(1)
  })
})

test('an unforeseen error is not dressed up as an answer', async () => {
  const load = async () => {
    throw new TypeError('a bug')
  }
  await expect(runCli(['replay'], {}, [{ name: 'replay', summary: '', load }])).rejects.toThrow('a bug')
})

test('every verb of the real table loads, under its name, and has help', async () => {
  for (const { name, load } of COMMANDS) {
    const command = await load()
    expect(command.name).toBe(name)
    expect(command.help).toMatch(new RegExp(`^usage: ramcache ${name}\\b`))
    expect(command.help.endsWith('\n')).toBe(true)
  }
})
