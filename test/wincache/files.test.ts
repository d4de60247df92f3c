/** The file cache, and what WinCache says of files, paths and scripts. */
import { mkdirSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  type FcacheInfo,
  fileCache,
  wincache_fcache_fileinfo as fileinfo,
  wincache_fcache_meminfo as meminfo,
  type RplistInfo,
  wincache_refresh_if_changed as refresh,
  wincache_rplist_fileinfo as rplist,
  wincache_ocache_fileinfo,
  wincache_ocache_meminfo,
  wincache_rplist_meminfo,
} from '../../src/wincache.ts'
import { testFolder } from '../support/folders.ts'
import { Caller } from './callers.ts'
import { fresh, overPlacements } from './placements.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

/** Another content of the same length, which only its times betray. */
function rewrite(path: string, text: string): void {
  const { mtimeMs } = statSync(path)
  writeFileSync(path, text)
  utimesSync(path, mtimeMs / 1000 + 10, mtimeMs / 1000 + 10)
}

function entryOf(path: string) {
  const found = Object.values((fileinfo() as FcacheInfo).file_entries).filter(
    (entry) => entry.file_name === path,
  )
  expect(found.length).toBeLessThan(2)
  return found[0]
}

overPlacements((reopen, optionsOf) => {
  describe('files', () => {
    it('are read once, and again when they have changed', () => {
      fresh(reopen, { chkinterval: 0 })
      const path = join(testFolder(), 'file')
      writeFileSync(path, 'first')
      const before = fileinfo(true) as FcacheInfo
      expect(fileCache.read(path)).toEqual(Buffer.from('first'))
      expect(fileCache.read(path)).toEqual(Buffer.from('first'))
      expect(entryOf(path)).toMatchObject({ file_size: 5, hit_count: 1, add_time: expect.any(Number) })
      const after = fileinfo(true) as FcacheInfo
      expect(after.file_entries).toEqual({})
      expect(after.total_file_count - before.total_file_count).toBe(1)
      expect(after.total_hit_count - before.total_hit_count).toBe(1)
      expect(after.total_miss_count - before.total_miss_count).toBe(1)
      expect(after.is_local_cache).toBe(false)
      rewrite(path, 'later')
      expect(fileCache.read(path).toString()).toBe('later')
      rmSync(path)
      expect(() => fileCache.read(path)).toThrow(expect.objectContaining({ code: 'ENOENT' }))
      expect(entryOf(path)).toBeUndefined()
    })

    it('are looked at after chkinterval, or when somebody asks for it', async () => {
      fresh(reopen)
      const folder = testFolder()
      const [one, two] = [join(folder, 'one'), join(folder, 'two')]
      for (const path of [one, two]) {
        writeFileSync(path, 'first')
        fileCache.read(path)
        rewrite(path, 'later')
        expect(fileCache.read(path).toString()).toBe('first')
      }
      expect(refresh([one])).toBe(true)
      expect(fileCache.read(one).toString()).toBe('later')
      expect(fileCache.read(two).toString()).toBe('first')
      expect(fileCache.refreshIfChanged()).toBe(true)
      expect(fileCache.read(two).toString()).toBe('later')
      // Also what another process has kept.
      rewrite(one, 'other')
      const caller = await Caller.start(optionsOf())
      expect(await caller.call('wincache_refresh_if_changed', [one, 'not there'])).toBe(true)
      await caller.end()
      expect(fileCache.read(one).toString()).toBe('other')
    })

    it('are not kept above maxfilesize', () => {
      fresh(reopen, { maxfilesize: 1 })
      const folder = testFolder()
      const [small, large] = [join(folder, 'small'), join(folder, 'large')]
      writeFileSync(small, 's'.repeat(1024))
      writeFileSync(large, 'l'.repeat(1025))
      expect(fileCache.read(small)).toHaveLength(1024)
      expect(fileCache.read(large)).toHaveLength(1025)
      expect(entryOf(small)).toBeDefined()
      expect(entryOf(large)).toBeUndefined()
    })

    it('are dropped when nobody has read them for ttlmax', () => {
      fresh(reopen, { ttlmax: 3 })
      const path = join(testFolder(), 'file')
      writeFileSync(path, 'text')
      fileCache.read(path)
      const misses = () => (fileinfo(true) as FcacheInfo).total_miss_count
      const before = misses()
      fileCache.read(path)
      expect(misses()).toBe(before)
      // Any look at it would be a use.
      const quiet = performance.now() + 3100
      while (performance.now() < quiet) {}
      fileCache.read(path)
      expect(misses()).toBe(before + 1)
    })

    it('take a list of texts, or nothing', () => {
      const warnings = fresh(reopen)
      expect(refresh()).toBe(true)
      expect(refresh([])).toBe(true)
      expect(refresh([1] as never)).toBe(false)
      expect(refresh('file' as never)).toBe(false)
      expect(warnings).toHaveLength(1)
    })

    it('are read and nothing else when the file cache is off', () => {
      fresh(reopen, { fcenabled: false })
      const path = join(testFolder(), 'file')
      writeFileSync(path, 'first')
      fileCache.read(path)
      rewrite(path, 'later')
      expect(fileCache.read(path).toString()).toBe('later')
      expect(fileCache.resolve(path)).toBe(path)
      expect(refresh()).toBe(false)
      expect(entryOf(path)).toBeUndefined()
      expect(meminfo()).toMatchObject({ memory_total: expect.any(Number) })
    })
  })

  it('paths are resolved once in chkinterval', () => {
    fresh(reopen)
    const folder = testFolder()
    for (const name of ['a', 'b']) mkdirSync(join(folder, name))
    const link = join(folder, 'link')
    symlinkSync(join(folder, 'a'), link)
    expect(fileCache.resolve(link)).toBe(join(folder, 'a'))
    rmSync(link)
    symlinkSync(join(folder, 'b'), link)
    expect(fileCache.resolve(link)).toBe(join(folder, 'a'))
    const { total_file_count, rplist_entries } = rplist() as RplistInfo
    expect(total_file_count).toBe(Object.keys(rplist_entries).length)
    const known = { resolve_path: link, subkey_data: '', absolute_path: join(folder, 'a') }
    expect(Object.values(rplist_entries)).toContainEqual(known)
    expect(rplist(true)).toEqual({ total_file_count, rplist_entries: {} })
    refresh([link])
    expect(fileCache.resolve(link)).toBe(join(folder, 'b'))
    rmSync(link)
    refresh()
    expect(() => fileCache.resolve(link)).toThrow(expect.objectContaining({ code: 'ENOENT' }))
    expect(wincache_rplist_meminfo()).toMatchObject({ memory_total: expect.any(Number) })
  })

  it("scripts are not WinCache's here", () => {
    fresh(reopen)
    expect(wincache_ocache_fileinfo()).toEqual({
      total_cache_uptime: 0,
      is_local_cache: false,
      total_file_count: 0,
      total_hit_count: 0,
      total_miss_count: 0,
      file_entries: {},
    })
    expect(wincache_ocache_meminfo()).toMatchObject({ memory_total: 0, num_used_blks: 0 })
  })
})
