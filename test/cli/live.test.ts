/** The verbs that talk to a store: the same answers from a daemon, from its socket, and from a directory nobody has open. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { open } from '../../src/index.ts'
import { cli, DaemonProcess } from '../daemon/support.ts'

const env = { RAMCACHE_DIR: '', RAMCACHE_SOCKET: '', RAMCACHE_URL: '' }

describe.each(['a daemon by its directory', 'a daemon by its socket', 'a directory that nobody has open'])(
  'with %s',
  (placement) => {
    let folder: string
    let daemon: DaemonProcess | undefined
    let where: string[]
    const run = (verb: string, ...args: string[]) => cli([verb, ...where, ...args], env)

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), 'ramcache-'))
      const dir = join(folder, 'store')
      where = ['--dir', dir]
      if (placement.startsWith('a daemon')) {
        daemon = await DaemonProcess.start(['--dir', dir, '--memory', '8mb'])
        if (placement.endsWith('socket')) where = ['--socket', `unix://${daemon.socket}`]
      } else {
        where.push('--memory', '8mb')
        await (await open({ dir, memory: '8mb', listen: false })).close()
      }
    })

    afterAll(async () => {
      await daemon?.end('SIGTERM')
      rmSync(folder, { recursive: true, force: true })
    })

    it('set, get, del: values of every kind, and exit code 1 for what is not there', async () => {
      expect((await run('set', 'text', 'héllo')).code).toBe(0)
      expect((await run('get', 'text')).stdout).toBe('héllo\n')
      await run('set', 'object', '{"list":[1,null]}', '--as', 'json', '--tag', 'a', '--tag', 'b')
      expect((await run('get', 'object')).stdout).toBe('{"list":[1,null]}\n')
      expect((await run('get', 'text', '--json')).stdout).toBe('"héllo"\n')
      expect(await run('del', 'text', 'never')).toMatchObject({ code: 0, stdout: '1\n' })
      expect(await run('get', 'text')).toMatchObject({ code: 1, stdout: '' })
      expect((await run('del', 'text')).code).toBe(1)
      expect(await run('set', 'text', 'x', '--as', 'json')).toMatchObject({ code: 2 })
    })

    it('ttl and incr', async () => {
      await run('set', 'timed', 'x', '--ttl', '1h')
      const left = Number((await run('ttl', 'timed')).stdout)
      expect(left).toBeGreaterThan(3_500_000)
      expect(left).toBeLessThanOrEqual(3_600_000)
      await run('set', 'lasting', 'x')
      expect((await run('ttl', 'lasting')).stdout).toBe('never\n')
      expect((await run('ttl', 'none')).code).toBe(1)
      expect((await run('incr', 'count', '5')).stdout).toBe('5\n')
      expect((await run('incr', '--json', 'count', '--', '-2')).stdout).toBe('{"value":3}\n')
      expect((await run('incr', 'count', 'much')).code).toBe(2)
    })

    it('invalidate', async () => {
      const inSpace = ['-n', 'tagged']
      await run('set', 'a', '1', '--tag', 'red', '--tag', 'round', ...inSpace)
      await run('set', 'b', '2', '--tag', 'blue', ...inSpace)
      expect(await run('invalidate', 'round', 'green')).toMatchObject({ code: 0, stdout: '' })
      expect((await run('get', 'a', ...inSpace)).stdout).toBe('1\n')
      expect((await run('invalidate', 'round', 'green', ...inSpace)).code).toBe(0)
      expect((await run('get', 'a', ...inSpace)).code).toBe(1)
      const { stdout } = await run('invalidate', 'blue', '--json', ...inSpace)
      expect(JSON.parse(stdout)).toEqual({ invalidated: ['blue'] })
      expect((await run('get', 'b', ...inSpace)).code).toBe(1)
      expect((await run('invalidate', ...inSpace)).code).toBe(2)
      expect((await run('invalidate', 'x'.repeat(256), ...inSpace)).stderr).toContain('1 to 255 bytes')
    })

    it('scan, big and inspect', async () => {
      for (let index = 0; index < 5; index++) {
        await run('set', `scan:${index}`, 'x'.repeat(index * 100), '-n', 'scanned')
      }
      const keys = (await run('scan', 'scan:[1-3]', '-n', 'scanned')).stdout.trim().split('\n').sort()
      expect(keys).toEqual(['scan:1', 'scan:2', 'scan:3'])
      expect((await run('scan', 'nothing*', '-n', 'scanned')).code).toBe(1)
      const largest = (await run('big', '--json', '--limit', '2', '-n', 'scanned')).stdout.trim().split('\n')
      expect(largest.map((line) => JSON.parse(line).key)).toEqual(['scan:4', 'scan:3'])
      const inspected = JSON.parse((await run('inspect', '--json', 'scan:4', '-n', 'scanned')).stdout)
      expect(inspected).toMatchObject({ key: 'scan:4', size: 406, why: expect.any(String) })
      expect((await run('inspect', 'scan:9', '-n', 'scanned')).code).toBe(1)
    })

    it('pin, demote and promote: keys and patterns', async () => {
      const inSpace = ['-n', 'outer/moved']
      for (const key of ['move:1', 'move:2', 'a*b', 'ab']) await run('set', key, 'x'.repeat(50), ...inSpace)
      const tier = async (key: string) =>
        JSON.parse((await run('inspect', key, '--json', ...inSpace)).stdout).tier
      expect(await run('pin', 'move:1', ...inSpace)).toMatchObject({ code: 0, stdout: '1 pinned\n' })
      const none = { moved: 0, already: 0, absent: 0, pinned: 0, unfit: 0 }
      const demoted = await run('demote', 'move:*', 'never', '--json', ...inSpace)
      // Offline what is not pinned is on the SSD before it is asked, unless it was on the list of what comes up.
      const { pinned, moved, already, absent } = JSON.parse(demoted.stdout)
      expect({ pinned, there: moved + already, absent, code: demoted.code }).toEqual({
        pinned: 1,
        there: 1,
        absent: 1,
        code: 1,
      })
      expect(await tier('move:2')).toBe('ssd')
      expect((await run('pin', '--off', 'move:1', ...inSpace)).stdout).toBe('1 let go\n')
      expect((await run('demote', 'move:1', ...inSpace)).code).toBe(0)
      const up = await run('promote', 'move:2', '--json', ...inSpace)
      expect({ code: up.code, ...JSON.parse(up.stdout) }).toEqual({ ...none, code: 0, moved: 1 })
      expect(await run('promote', 'never', ...inSpace)).toMatchObject({
        code: 1,
        stdout: '0 brought up, 1 not there\n',
      })
      // A pattern means all that match, unless it is to be taken as it is.
      expect((await run('pin', 'a*b', '--exact', ...inSpace)).stdout).toBe('1 pinned\n')
      expect((await run('pin', 'a*b', ...inSpace)).stdout).toBe('2 pinned\n')
      expect((await run('demote', ...inSpace)).code).toBe(2)
    })

    it('stats in three forms, tiers, flush', async () => {
      const stats = JSON.parse((await run('stats', '--json')).stdout)
      expect(stats.tiers.ram.budgetBytes).toBe(8 * 2 ** 20)
      expect(stats.owner.mode).toBe(placement.startsWith('a daemon') ? 'daemon' : 'embedded')
      expect((await run('stats')).stdout).toContain('hit rate')
      expect((await run('stats', '--prometheus')).stdout).toContain('ramcache_memory_budget_bytes 8388608')
      expect((await run('tiers')).stdout).toMatch(/^tier +entries/)
      expect((await run('flush')).code).toBe(0)
    })

    it('ping, and shutdown of a daemon', async () => {
      if (daemon === undefined) {
        expect(await run('ping')).toMatchObject({ code: 69, stdout: '' })
        expect(await run('shutdown')).toMatchObject({ code: 69, stdout: '' })
        return
      }
      expect((await run('ping')).stdout).toMatch(/^PONG \d+ µs\n$/)
      expect((await run('shutdown')).code).toBe(0)
      expect(await daemon.ended()).toBe(0)
      expect((await run('ping')).code).toBe(69)
    })
  },
)
