/** Completion as bash does it, and that nothing of the table of verbs is missing from any of the scripts. */
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { COMMANDS } from '../../src/cli/run.ts'
import { Tmux } from '../support/tmux.ts'
import { runCli } from './support.ts'

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
let folder: string
let script: string

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ramcache-'))
  script = join(folder, 'completion.bash')
  const { exitCode, stdout } = await runCli(['completion', 'bash'], {}, COMMANDS)
  expect(exitCode).toBe(0)
  writeFileSync(script, stdout)
  writeFileSync(join(folder, 'a file.rct.gz'), '')
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** What bash offers for the last of the words. */
function offered(...words: string[]): string[] {
  const run = `source "$1"; shift
    COMP_WORDS=(ramcache "$@"); COMP_CWORD=$#
    $(complete -p ramcache | sed 's/.*-F \\([^ ]*\\).*/\\1/'); printf '%s\\n' "\${COMPREPLY[@]}"`
  const { stdout, stderr, status } = spawnSync('bash', ['-c', run, 'bash', script, ...words], {
    cwd: folder,
    encoding: 'utf8',
  })
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 })
  return stdout.split('\n').filter((line) => line !== '')
}

it('bash offers every verb, and each of them its own options', async () => {
  const names = COMMANDS.map(({ name }) => name)
  expect(offered('')).toEqual(expect.arrayContaining([...names, 'help', '--version']))
  expect(offered('pro')).toEqual(['promote'])
  expect(offered('help', 'to')).toEqual(['top'])
  expect(offered('completion', '')).toEqual(['bash', 'zsh', 'fish'])
  for (const { name, load } of COMMANDS) {
    if (name === 'completion') continue
    const options = Object.keys((await load()).options).map((option) => `--${option}`)
    expect(offered(name, '--').sort()).toEqual(
      [...options, '--help', '--version', '--json', '--no-color'].sort(),
    )
  }
})

it('bash knows where the verb stands, and what takes a file', () => {
  expect(offered('-d', 'somewhere', 'sca')).toEqual(['scan'])
  expect(offered('-d', 'somewhere', 'scan', '--ti')).toEqual(['--tier'])
  expect(offered('scan', '--dir', 'comp')).toEqual(['completion.bash'])
  expect(offered('replay', 'a ')).toEqual(['a file.rct.gz'])
  expect(offered('scan', '--limit', '')).toEqual([])
})

it('a key press completes, in a terminal', async () => {
  const terminal = new Tmux(folder)
  const bin = join(folder, 'ramcache')
  writeFileSync(bin, `#!/bin/sh\nexec ${process.execPath} ${main} "$@"\n`)
  chmodSync(bin, 0o755)
  const rc = join(folder, 'rc')
  // As the help text says, with the executable itself.
  writeFileSync(rc, `PATH=${folder}:$PATH; PS1='$ '; source <(ramcache completion bash); echo ready\n`)
  terminal.run('new-session', '-d', '-s', 'c', '-x', '80', '-y', '10', 'bash', '--rcfile', rc, '-i')
  const shows = (pattern: RegExp) =>
    vi.waitFor(() => expect(terminal.shown('c')).toMatch(pattern), { timeout: 60_000 })
  try {
    await shows(/ready\n\$/)
    terminal.run('send-keys', '-t', 'c', 'ramcache prom', 'Tab')
    await shows(/^\$ ramcache promote *$/m)
    terminal.run('send-keys', '-t', 'c', '--', '--exa', 'Tab')
    await shows(/^\$ ramcache promote --exact *$/m)
  } finally {
    terminal.end()
  }
})

it.each(['zsh', 'fish'])('the script for %s has all verbs and options', async (shell) => {
  const { stdout } = await runCli(['completion', shell], {}, COMMANDS)
  for (const { name, load } of COMMANDS) {
    const lines = stdout.split('\n').filter((line) => line.includes(`${name}`))
    for (const option of Object.keys((await load()).options)) {
      const written = shell === 'zsh' ? `'--${option}` : `-l ${option}`
      expect(lines.some((line) => line.includes(written))).toBe(true)
    }
  }
})

it('says which shells it knows', async () => {
  expect(await runCli(['completion', 'cmd'], {}, COMMANDS)).toMatchObject({ exitCode: 2, stdout: '' })
  expect(await runCli(['completion'], {}, COMMANDS)).toMatchObject({ exitCode: 2, stdout: '' })
})
