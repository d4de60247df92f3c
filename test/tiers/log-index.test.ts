/** The index of the value log, on real LMDB files. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { open as openLmdb } from 'lmdb'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type Change, flagCopy, packChanges, packMoves } from '../../src/tiers/index-batch.ts'
import { LogIndex, type LogIndexOptions } from '../../src/tiers/log-index.ts'
import { failure } from '../support/errors.ts'
import { testFolder } from '../support/folders.ts'
import { keyOf } from './index-model.ts'

async function openIndex(dir = testFolder(), options: LogIndexOptions = {}): Promise<LogIndex> {
  const index = await LogIndex.open(dir, options)
  onTestFinished(() => index.close())
  return index
}

function set(name: string, clock: number, more: Partial<Change> = {}): Change {
  return {
    key: keyOf(name),
    kind: 'set',
    file: 1,
    offset: clock * 10,
    bytes: 10,
    clock: BigInt(clock),
    ...more,
  }
}

function remove(name: string, clock: number, more: Partial<Change> = {}): Change {
  return set(name, clock, { kind: 'delete', ...more })
}

function clear(namespace: number, clock: number): Change {
  const key = Buffer.alloc(2)
  key.writeUInt16BE(namespace)
  return { key, kind: 'clear', file: 1, offset: 0, bytes: 0, clock: BigInt(clock) }
}

const at = (offset: number, file = 1) => ({ file, offset })

describe('rows', () => {
  it('come back as they were written', async () => {
    const index = await openIndex()
    const change: Change = {
      key: keyOf('k', 0xfffe),
      kind: 'set',
      flags: 0xfe,
      file: 0xffff_ffff,
      offset: 0xffff_fffe,
      bytes: 0xffff_fffd,
      clock: 0xffff_ffff_ffff_ffffn,
      expiresAt: 2 ** 53 - 1,
    }
    await index.commit(packChanges([change]), at(5))
    const { key, kind: _, ...row } = change
    expect(index.find(key)).toEqual({ isTombstone: false, ...row })
    expect(index.findMany([keyOf('k'), key, keyOf('j', 0xfffe)])).toEqual([
      undefined,
      { isTombstone: false, ...row },
      undefined,
    ])
    expect(index.count()).toEqual({ entries: 1, bytes: 0xffff_fffd, tombstones: 0 })
  })

  it('give way to newer ones only', async () => {
    const index = await openIndex()
    await index.commit(packChanges([set('k', 5)]), at(1))
    const outcome = await index.commit(packChanges([set('k', 4, { offset: 99 }), remove('k', 3)]), at(2))
    expect(outcome).toMatchObject({ applied: 0, outdated: 2 })
    expect(index.find(keyOf('k'))?.clock).toBe(5n)
    expect((await index.commit(packChanges([set('k', 6, { file: 2 })]), at(3))).freed).toEqual(
      new Map([[1, 10]]),
    )
    expect(index.find(keyOf('k'))).toMatchObject({ clock: 6n, file: 2 })
    await index.commit(packChanges([remove('k', 7)]), at(4))
    expect(index.find(keyOf('k'))).toBe(undefined)
    expect(index.count()).toEqual({ entries: 0, bytes: 0, tombstones: 0 })
  })

  it('take the later place when the version is the same', async () => {
    const index = await openIndex()
    await index.commit(packChanges([set('k', 5, { file: 2, offset: 50 })]), at(1))
    await index.commit(packChanges([set('k', 5, { file: 1, offset: 90 })]), at(1))
    expect(index.find(keyOf('k'))).toMatchObject({ file: 2, offset: 50 })
    await index.commit(packChanges([set('k', 5, { file: 3, offset: 0 })]), at(1))
    expect(index.find(keyOf('k'))).toMatchObject({ file: 3, offset: 0 })
  })

  it('of keys over 1,900 bytes lie under a hash', async () => {
    const index = await openIndex()
    const keys = [1897, 1898, 1899, 4096].flatMap((length) => {
      return ['a', 'b'].map((last) => keyOf('x'.repeat(length - 1) + last))
    })
    await index.commit(packChanges(keys.map((key, n) => set('', n + 1, { key }))), at(1))
    for (const [n, key] of keys.entries()) expect(index.find(key)?.clock).toBe(BigInt(n + 1))
    expect(index.find(keyOf('x'.repeat(4096)))).toBe(undefined)
    const { rows } = index.scan(keyOf('x'), undefined, 100)
    expect(rows.map(({ key, isHashed }) => [key.length, isHashed])).toEqual(
      expect.arrayContaining([
        [1899, false],
        [1900, false],
        [1916, true],
      ]),
    )
    expect(rows).toHaveLength(8)
  })

  it('are one for each key of a batch: the newest', async () => {
    const index = await openIndex()
    await index.commit(packChanges([set('k', 2), set('k', 9), set('k', 5)]), at(1))
    expect(index.find(keyOf('k'))?.clock).toBe(9n)
    expect(index.count().entries).toBe(1)
  })
})

describe('deletes', () => {
  it('leave tombstones while a tier lies below', async () => {
    const index = await openIndex(undefined, { keepTombstones: true })
    await index.commit(packChanges([set('a', 1), remove('a', 2), remove('b', 3), set('c', 4)]), at(1))
    expect(index.find(keyOf('a'))).toMatchObject({ isTombstone: true, clock: 2n })
    expect(index.count()).toEqual({ entries: 1, bytes: 10, tombstones: 2 })
    expect((await index.commit(packChanges([set('b', 2)]), at(2))).outdated).toBe(1)
    const listed = index.tombstones(10)
    expect(listed).toEqual([
      { key: keyOf('a'), clock: 2n },
      { key: keyOf('b'), clock: 3n },
    ])
    expect(index.tombstones(1)).toEqual(listed.slice(0, 1))
    // Overtaken, and come meanwhile, with a lower version than one that was listed.
    await index.commit(packChanges([set('a', 8), remove('d', 2)]), at(3))
    await index.removeTombstones(listed.slice(0, 1))
    expect(index.find(keyOf('b'))?.isTombstone).toBe(true)
    await index.removeTombstones(listed)
    expect(index.find(keyOf('b'))).toBe(undefined)
    expect(index.tombstones(10)).toEqual([{ key: keyOf('d'), clock: 2n }])
    expect(index.find(keyOf('d'))?.isTombstone).toBe(true)
    await index.removeTombstones(index.tombstones(10))
    expect(index.find(keyOf('d'))).toBe(undefined)
    expect(index.find(keyOf('a'))?.clock).toBe(8n)
    expect(index.count()).toEqual({ entries: 2, bytes: 20, tombstones: 0 })
  })

  it('are not undone by a copy that a drain appended after them', async () => {
    const index = await openIndex()
    await index.commit(packChanges([set('k', 1), remove('k', 2)]), at(1))
    await index.commit(packChanges([set('k', 1, { flags: flagCopy, file: 7 })]), at(2))
    expect(index.find(keyOf('k'))).toBe(undefined)
    await index.commit(packChanges([set('j', 1)]), at(3))
    await index.commit(packChanges([set('j', 1, { flags: flagCopy, file: 7 })]), at(4))
    expect(index.find(keyOf('j'))).toMatchObject({ file: 7, clock: 1n })
  })

  it('hold in a rebuild, where a copy may be the only record left', async () => {
    const index = await openIndex(undefined, { isRebuild: true })
    await index.commit(packChanges([remove('gone', 2), set('gone', 1, { flags: flagCopy })]), at(1))
    await index.commit(packChanges([set('only', 1, { flags: flagCopy })]), at(2))
    await index.commit(packChanges([set('gone', 1, { flags: flagCopy, file: 9 })]), at(3))
    expect(index.find(keyOf('gone'))?.isTombstone).toBe(true)
    expect(index.find(keyOf('only'))?.isTombstone).toBe(false)
    await index.removeTombstones(index.tombstones(10))
    expect(index.find(keyOf('gone'))).toBe(undefined)
  })
})

describe('a clear', () => {
  it('makes older rows of its namespace dead at once, and later ones live', async () => {
    const index = await openIndex()
    const other = set('', 1, { key: keyOf('k', 2) })
    await index.commit(packChanges([set('a', 1), set('b', 9), other]), at(1))
    await index.commit(packChanges([clear(1, 5), set('c', 4), set('d', 6)]), at(2))
    expect(index.findMany(['a', 'b', 'c', 'd'].map((name) => keyOf(name))).map((row) => row?.clock)).toEqual([
      undefined,
      9n,
      undefined,
      6n,
    ])
    expect(index.find(keyOf('k', 2))?.clock).toBe(1n)
    expect(index.scan(keyOf(''), undefined, 10).rows.map(({ key }) => key)).toEqual([keyOf('b'), keyOf('d')])
    expect((await index.commit(packChanges([clear(1, 3)]), at(3))).outdated).toBe(1)
    expect(index.find(keyOf('d'))?.clock).toBe(6n)
  })

  it('is swept in pieces', async () => {
    const dir = testFolder()
    const index = await openIndex(dir)
    const many = Array.from({ length: 20_000 }, (_, n) => set(`k${n}`, n + 1, { file: n % 3 }))
    await index.commit(packChanges(many), at(1))
    await index.commit(packChanges([clear(1, 15_000)]), at(2))
    expect(index.count().entries).toBe(20_000)
    let from: Buffer | undefined
    let freed = 0
    do {
      const { outcome, next } = await index.sweep(1, from)
      for (const bytes of outcome.freed.values()) freed += bytes
      from = next
    } while (from !== undefined)
    expect(freed).toBe(150_000)
    expect(index.count()).toEqual({ entries: 5000, bytes: 50_000, tombstones: 0 })
    await index.close()
    const again = await openIndex(dir)
    expect(again.find(keyOf('k0'))).toBe(undefined)
    expect((await again.commit(packChanges([set('late', 3)]), at(3))).outdated).toBe(1)
    expect((await again.sweep(2)).next).toBe(undefined)
  })
})

describe('relocate', () => {
  it('moves rows that lie at just the old place', async () => {
    const index = await openIndex()
    await index.commit(packChanges([set('a', 1), set('b', 2), set('c', 3)]), at(1))
    const move = (name: string, oldOffset: number) => ({
      key: keyOf(name),
      oldFile: 1,
      oldOffset,
      file: 4,
      offset: 8,
    })
    const outcome = await index.relocate(packMoves([move('a', 10), move('b', 10), move('none', 0)]))
    expect(outcome).toEqual({
      applied: 1,
      outdated: 2,
      freed: new Map([[1, 10]]),
      gained: new Map([[4, 10]]),
    })
    expect(index.find(keyOf('a'))).toMatchObject({ file: 4, offset: 8, clock: 1n, bytes: 10 })
    expect(index.find(keyOf('b'))).toMatchObject({ file: 1, offset: 20 })
    expect(index.count()).toEqual({ entries: 3, bytes: 30, tombstones: 0 })
    // File 0: a record that is dead takes its row along.
    const dead = { key: keyOf('b'), oldFile: 1, oldOffset: 20, file: 0, offset: 0 }
    expect((await index.relocate(packMoves([dead]))).freed).toEqual(new Map([[1, 10]]))
    expect(index.find(keyOf('b'))).toBeUndefined()
    expect(index.count()).toEqual({ entries: 2, bytes: 20, tombstones: 0 })
  })
})

describe('the position', () => {
  it('goes with the rows, and what the owner keeps with it', async () => {
    const dir = testFolder()
    const index = await openIndex(dir)
    expect(index.position()).toEqual(at(0, 0))
    await index.commit(packChanges([set('a', 1)]), at(70, 3), Buffer.from('arena 7'))
    await index.commit(Buffer.alloc(0), at(80, 3))
    await index.close()
    const again = await openIndex(dir)
    expect(again.position()).toEqual(at(80, 3))
    expect(again.owner().toString()).toBe('arena 7')
    expect(again.find(keyOf('a'))?.clock).toBe(1n)
    await expect(again.commit(Buffer.alloc(0), at(79, 3))).rejects.toThrow('cannot go')
    await expect(again.commit(Buffer.alloc(0), at(90, 2))).rejects.toThrow('cannot go')
  })

  it('is the old one when a batch is refused, and nothing of the batch is there', async () => {
    const index = await openIndex()
    const good = packChanges([set('a', 1), set('b', 2)])
    const badKind = Buffer.from(good)
    badKind[2] = 9
    const unsorted = Buffer.concat([packChanges([set('b', 2)]), packChanges([set('a', 1)])])
    for (const bad of [badKind, unsorted, good.subarray(0, good.length - 1), good.subarray(0, 40)]) {
      await expect(index.commit(bad, at(9))).rejects.toThrow('a batch for the index')
    }
    expect(index.position()).toEqual(at(0, 0))
    expect(index.count().entries).toBe(0)
    await index.commit(good, at(9))
    expect(index.count().entries).toBe(2)
  })
})

describe('a large batch', () => {
  it('lets other work of the thread run', async () => {
    const index = await openIndex()
    const changes = packChanges(Array.from({ length: 50_000 }, (_, n) => set(`key ${n}`, n + 1)))
    let turns = 0
    const timer = setInterval(() => turns++, 0)
    await index.commit(changes, at(1))
    clearInterval(timer)
    expect(turns).toBeGreaterThan(2)
    expect(index.count().entries).toBe(50_000)
    let from: Buffer | undefined
    let found = 0
    do {
      const page = index.scan(keyOf('key 1'), from, 1_000_000)
      expect(page.rows.length).toBeLessThanOrEqual(10_000)
      found += page.rows.length
      from = page.next
    } while (from !== undefined)
    expect(found).toBe(11_111)
  })
})

describe('a reader', () => {
  it('sees every commit that has resolved, and writes nothing', async () => {
    const dir = testFolder()
    const index = await openIndex(dir)
    const reader = await openIndex(dir, { isReader: true })
    for (let round = 1; round <= 50; round++) {
      await index.commit(packChanges([set('k', round)]), at(round))
      expect(reader.find(keyOf('k'))?.clock).toBe(BigInt(round))
      expect(reader.position()).toEqual(at(round))
    }
    await index.commit(packChanges([clear(1, 100)]), at(100))
    expect(reader.find(keyOf('k'))).toBe(undefined)
    await expect(reader.commit(packChanges([set('k', 200)]), at(200))).rejects.toThrow()
    expect(index.find(keyOf('k'))).toBe(undefined)
  })
})

describe('files', () => {
  it('of another program are refused and left alone', async () => {
    const dir = testFolder()
    const path = join(dir, 'index.mdb')
    const foreign = openLmdb({ path })
    await foreign.put('theirs', 1)
    await foreign.close()
    const before = readFileSync(path)
    const error = await failure('ERR_RAMCACHE_CORRUPT', () => LogIndex.open(dir))
    expect(error.message).toContain(path)
    expect(readFileSync(path).equals(before)).toBe(true)
    writeFileSync(path, 'not LMDB at all'.repeat(1000))
    expect((await failure('ERR_RAMCACHE_CORRUPT', () => LogIndex.open(dir))).message).toContain(path)
  })

  it('of a newer format are refused', async () => {
    const dir = testFolder()
    const path = join(dir, 'index.mdb')
    await (await LogIndex.open(dir)).close()
    const root = openLmdb({
      path,
      encoding: 'binary',
      keyEncoding: 'binary',
      maxDbs: 4,
      overlappingSync: false,
    })
    const meta = root.openDB('meta', { encoding: 'binary', keyEncoding: 'binary' })
    const state = meta.getBinary(Buffer.from('state')) as Buffer
    state.writeUInt32LE(2, 8)
    await meta.put(Buffer.from('state'), state)
    await root.close()
    const error = await failure('ERR_RAMCACHE_CONFIG', () => LogIndex.open(dir))
    expect(error.message).toContain('format version 2')
  })

  it('refuse everything once the index is closed', async () => {
    const index = await openIndex()
    const commit = index.commit(packChanges([set('a', 1)]), at(1))
    const closing = index.close()
    await failure('ERR_RAMCACHE_CLOSED', () => index.find(keyOf('a')))
    await failure('ERR_RAMCACHE_CLOSED', () => index.position())
    await failure('ERR_RAMCACHE_CLOSED', () => index.scan(keyOf(''), undefined, 1))
    await failure('ERR_RAMCACHE_CLOSED', () => index.commit(Buffer.alloc(0), at(2)))
    await failure('ERR_RAMCACHE_CLOSED', () => index.relocate(Buffer.alloc(0)))
    await commit
    await closing
    await index.close()
  })
})
