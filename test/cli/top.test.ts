/** `ramcache top` in a terminal that is one: tmux is asked what stands there. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type Cache, connect } from '../../src/index.ts'
import { cli, DaemonProcess } from '../daemon/support.ts'
import { Tmux } from '../support/tmux.ts'

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
let folder: string
let terminal: Tmux
let daemon: DaemonProcess
let cache: Cache
let reading: NodeJS.Timeout

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ramcache-'))
  terminal = new Tmux(folder)
  daemon = await DaemonProcess.start(['--dir', join(folder, 'store'), '--memory', '8mb'])
  cache = await connect(`unix://${daemon.socket}`)
  await cache.set('read often', { a: 1 })
  reading = setInterval(() => {
    for (let count = 0; count < 2000; count++) cache.getSync('read often')
  }, 5)
})

afterAll(async () => {
  clearInterval(reading)
  terminal.end()
  await cache.close()
  await daemon.end('SIGTERM')
  rmSync(folder, { recursive: true, force: true })
})

const tmux = (...args: string[]) => terminal.run(...args)
const pane = () => terminal.shown('top')
const flags = () =>
  tmux('display-message', '-p', '-t', 'top', '#{alternate_on} #{cursor_flag} #{wrap_flag}').trim()
const shows = (pattern: RegExp) =>
  vi.waitFor(() => expect(pane()).toMatch(pattern), { timeout: 60_000, interval: 100 })

/** Types of a shell behind it say whether the terminal is usable again. */
function startTop(): void {
  const pidFile = join(folder, 'pid')
  const script = `echo before; ${process.execPath} ${main} top --seconds 0.3 -d ${join(folder, 'store')} & echo $! > ${pidFile}; fg >/dev/null; echo ended $?; stty -a; exec cat`
  tmux('new-session', '-d', '-s', 'top', '-x', '100', '-y', '30', 'bash', '-m', '-c', script)
}

describe.each([
  ['q', () => tmux('send-keys', '-t', 'top', 'q')],
  ['Ctrl-C', () => tmux('send-keys', '-t', 'top', 'C-c')],
  ['SIGINT', () => process.kill(Number(readFileSync(join(folder, 'pid'), 'utf8')), 'SIGINT')],
  ['SIGTERM', () => process.kill(Number(readFileSync(join(folder, 'pid'), 'utf8')), 'SIGTERM')],
])('ended by %s', (_, end) => {
  it('draws, follows the size of the terminal, and gives it back', async () => {
    startTop()
    await shows(/^read often +\d+ .* default$/m)
    expect(flags()).toBe('1 0 0')
    expect(pane()).toMatch(/^hit rate +100\.00 % now .*█/m)
    expect(pane()).not.toMatch(/before/)
    tmux('resize-window', '-t', 'top', '-x', '50', '-y', '12')
    await vi.waitFor(
      () => {
        const lines = pane().trimEnd().split('\n')
        expect(lines.length).toBeLessThanOrEqual(12)
        expect(lines[0]).toMatch(/^ramcache /)
        for (const line of lines) expect([...line].length).toBeLessThanOrEqual(50)
      },
      { timeout: 60_000, interval: 100 },
    )
    tmux('resize-window', '-t', 'top', '-x', '100', '-y', '40')
    await shows(/^read often +\d+ .* default$/m)
    end()
    await shows(/ended 0\n/)
    // What stood there before stands there again, lines are put together and shown as they are typed.
    expect(pane()).toMatch(/^before\n/)
    await shows(/[^-]icanon\b[\s\S]*[^-]echo\b/)
    expect(flags()).toBe('0 1 1')
    tmux('kill-session', '-t', 'top')
  })
})

it('says what it is without a terminal: one picture, objects, or nothing', async () => {
  const where = ['-d', join(folder, 'store'), '--seconds', '0.3']
  const once = await cli(['top', '--once', ...where])
  expect(once.code).toBe(0)
  expect(once.stdout).toMatch(/^ramcache .*, daemon, pid \d+, [\s\S]*\nread often +\d+ /)
  expect(once.stdout).not.toContain('\x1b')
  const { perSecond, hitRate, hot } = JSON.parse((await cli(['top', '--once', '--json', ...where])).stdout)
  expect(hitRate).toBe(1)
  expect(hot.keys[0].key).toBe('read often')
  // Both are of the same time, by two ways: one counts, the other samples.
  expect(hot.readsPerSecond / perSecond.hits).toBeGreaterThan(0.5)
  expect(hot.readsPerSecond / perSecond.hits).toBeLessThan(2)
  expect(await cli(['top', ...where])).toMatchObject({ code: 2, stdout: '' })
  expect(await cli(['top', '--once', '--seconds', '0'])).toMatchObject({ code: 2, stdout: '' })
})
