import { describe, expect, it } from 'vitest'
import { RamcacheError } from '../../src/base/errors.ts'
import { validateCounter, validateScan, validateSet, validateWrite } from '../../src/config/call-options.ts'
import { parseDuration } from '../../src/config/duration.ts'
import { nearestName } from '../../src/config/fields.ts'
import { autoMemory, type MachineReader, usableBytes } from '../../src/config/memory.ts'
import { checkNamespaceName, validateAttach, validateOpen } from '../../src/config/open-options.ts'
import { parseSize } from '../../src/config/size.ts'

const gibibyte = 1024 ** 3

function machineOf(files: Record<string, string>, totalBytes = 16 * gibibyte): MachineReader {
  return { readText: (path) => files[path], totalBytes: () => totalBytes }
}

/** The message of the ERR_RAMCACHE_CONFIG that `run` throws. */
function refusal(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    expect(error).toBeInstanceOf(RamcacheError)
    expect((error as RamcacheError).code).toBe('ERR_RAMCACHE_CONFIG')
    return (error as RamcacheError).message
  }
  throw new Error('it was accepted')
}

describe('durations', () => {
  it.each<[unknown, number]>([
    [1, 1],
    [1500, 1500],
    ['500ms', 500],
    ['10s', 10_000],
    ['2m', 120_000],
    ['1h', 3_600_000],
    ['1d', 86_400_000],
    ['3650d', 315_360_000_000],
  ])('%j is %d ms', (value, ms) => {
    expect(parseDuration(value, 'ttl')).toBe(ms)
  })

  it.each<[unknown, string]>([
    [0, 'below the minimum of 1 ms'],
    ['0s', 'below the minimum of 1 ms'],
    [-5, 'ttl is -5, below the minimum of 1 ms'],
    [315_360_000_001, 'above the maximum of 315360000000 ms'],
    ['3651d', 'above the maximum'],
    ['999999999999999d', 'above the maximum'],
    [1.5, 'whole number of milliseconds, not 1.5'],
    [Number.NaN, 'not NaN'],
    [Number.POSITIVE_INFINITY, 'not Infinity'],
    ['1.5h', 'ttl is "1.5h"'],
    ['10', 'ms, s, m, h or d'],
    ['', 'ms, s, m, h or d'],
    ['10 s', 'ms, s, m, h or d'],
    ['-1s', 'ms, s, m, h or d'],
    ['1w', 'ms, s, m, h or d'],
    [null, 'not null'],
    [10n, 'not 10n'],
    [{}, 'not an object'],
    [new Date(0), 'not a Date'],
  ])('%s is refused', (value, message) => {
    const text = refusal(() => parseDuration(value, 'ttl'))
    expect(text).toContain('ttl')
    expect(text).toContain(message)
  })
})

describe('sizes', () => {
  it.each<[unknown, number]>([
    [1024, 1024],
    ['1024b', 1024],
    ['64kb', 65_536],
    ['64 KB', 65_536],
    ['64KiB', 65_536],
    ['512mb', 512 * 1024 ** 2],
    ['2GB', 2 * gibibyte],
    ['1tb', 1024 ** 4],
  ])('%j is %d bytes', (value, bytes) => {
    expect(parseSize(value, 'memory', 0, 1024 ** 5)).toBe(bytes)
  })

  it.each<[unknown, string]>([
    [99, 'memory is 99, below the minimum of 100 bytes'],
    ['1mb', 'memory is "1mb", above the maximum of 1000 bytes'],
    [100.5, 'not 100.5'],
    [Number.NaN, 'not NaN'],
    ['1.5kb', 'a size is a whole number with a unit'],
    ['500', 'a size is a whole number with a unit'],
    ['auto', 'a size is a whole number with a unit'],
    [null, 'not null'],
    [-1, 'below the minimum'],
  ])('%s is refused', (value, message) => {
    expect(refusal(() => parseSize(value, 'memory', 100, 1000))).toContain(message)
  })
})

describe('memory: auto', () => {
  it.each<[string, Record<string, string>, number]>([
    ['the whole machine', {}, 16],
    ['no limit, version 2', { '/sys/fs/cgroup/memory.max': 'max\n' }, 16],
    ['no limit, version 1', { '/sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n' }, 16],
    ['a container, version 2', { '/sys/fs/cgroup/memory.max': `${3 * gibibyte}\n` }, 3],
    ['a container, version 1', { '/sys/fs/cgroup/memory/memory.limit_in_bytes': `${gibibyte}\n` }, 1],
    [
      'a service below a slice with a smaller limit',
      {
        '/proc/self/cgroup': '0::/system.slice/app.service\n',
        '/sys/fs/cgroup/system.slice/app.service/memory.max': `${8 * gibibyte}\n`,
        '/sys/fs/cgroup/system.slice/memory.max': `${4 * gibibyte}\n`,
      },
      4,
    ],
    [
      'a version 1 group',
      {
        '/proc/self/cgroup': '4:cpu,memory:/docker/abc\n3:pids:/\n',
        '/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes': `${2 * gibibyte}\n`,
      },
      2,
    ],
    ['nonsense in the file', { '/sys/fs/cgroup/memory.max': 'x\n' }, 16],
  ])('%s', (_, files, gibibytes) => {
    expect(usableBytes(machineOf(files))).toBe(gibibytes * gibibyte)
  })

  it('takes a third, and never less than the minimum', () => {
    expect(autoMemory(1, machineOf({}, 300))).toBe(100)
    expect(autoMemory(200, machineOf({}, 300))).toBe(200)
  })
})

describe('open options', () => {
  it('fills in defaults', () => {
    const validated = validateOpen({ dir: 'x' }, machineOf({}, 3 * gibibyte))
    expect(validated).toEqual({
      dir: 'x',
      memoryBytes: gibibyte,
      ssd: { path: 'x/ssd' },
      namespaces: {},
      nearEntries: 8192,
      isFrozen: false,
      ownerTimeoutMs: 10_000,
    })
  })

  it('turns units into bytes and milliseconds, and passes internal switches through', () => {
    const internal = { clock: 'manual' }
    const namespaces = { default: { ttl: '1s', frozen: true }, a: {} }
    const options = { dir: 'x', memory: '1mb', listen: false, namespaces, nearEntries: 5, ownerTimeout: '2s' }
    expect(validateOpen({ ...options, __internal: internal })).toEqual({
      dir: 'x',
      ssd: { path: 'x/ssd' },
      memoryBytes: 1024 ** 2,
      namespaces: { default: { ttlMs: 1000, isFrozen: true }, a: {} },
      nearEntries: 5,
      isFrozen: false,
      listen: false,
      ownerTimeoutMs: 2000,
      internal,
    })
  })

  it('keeps the SSD tier in the directory of the store, where it is told to, or not at all', () => {
    const ssdDir = (tiers: unknown) => validateOpen({ dir: 'x', memory: '1mb', tiers }).ssd?.path
    expect(ssdDir({})).toBe('x/ssd')
    expect(ssdDir({ ssd: {} })).toBe('x/ssd')
    expect(ssdDir({ ssd: { path: '/fast/cache' } })).toBe('/fast/cache')
    expect(ssdDir({ ssd: false })).toBe(undefined)
  })

  it('takes any visible name for a namespace', () => {
    const namespaces = JSON.parse('{"__proto__":{"ttl":5},"constructor":{}}')
    const validated = validateOpen({ dir: 'x', memory: '1mb', namespaces })
    expect(Object.keys(validated.namespaces)).toEqual(['__proto__', 'constructor'])
  })

  it.each<[unknown, string]>([
    [undefined, 'open() must be an object, not undefined'],
    [null, 'open() must be an object, not null'],
    ['./dir', 'open() must be an object'],
    [[], 'open() must be an object'],
    [{}, 'open() needs dir'],
    [{ dir: '' }, 'open() needs dir'],
    [{ dir: 5 }, 'not 5'],
    [{ dir: 'a\0b' }, 'zero byte'],
    [{ dir: 'x'.repeat(5000) }, 'dir is 5000 bytes long, above the maximum of 4095 bytes'],
    [{ dir: 'x', memory: '511kb' }, 'memory is "511kb", below the minimum of 524288 bytes'],
    [{ dir: 'x', memory: '17tb' }, 'above the maximum'],
    [{ dir: 'x', memory: {} }, 'memory must be'],
    [{ dir: 'x', memroy: '1mb' }, 'unknown option "memroy" in open(); did you mean memory?'],
    [
      { dir: 'x', colour: 1 },
      'known are: dir, memory, tiers, namespaces, nearEntries, frozen, listen, ownerTimeout',
    ],
    [{ dir: 'x', tiers: 5 }, 'tiers must be an object, not 5'],
    [{ dir: 'x', tiers: false }, 'tiers must be an object, not false'],
    [{ dir: 'x', tiers: { sdd: false } }, 'unknown option "sdd" in tiers; did you mean ssd?'],
    [{ dir: 'x', tiers: { remote: {} } }, 'the option remote of tiers is not supported by this version'],
    [{ dir: 'x', tiers: { hdd: {} } }, 'path of tiers.hdd must be a non-empty string, not undefined'],
    [{ dir: 'x', tiers: { hdd: true } }, 'tiers.hdd must be false or an object, not true'],
    [
      { dir: 'x', tiers: { hdd: { path: 'h', budget: 1 } } },
      'budget of tiers.hdd is 1, below the minimum of 16777216 bytes',
    ],
    [
      { dir: 'x', tiers: { hdd: { path: 'h', limit: 1 } } },
      'unknown option "limit" in tiers.hdd; known are: path, floor, budget, ioBudget',
    ],
    [
      { dir: 'x', namespaces: { a: { onFull: 'refuse' } } },
      "onFull of namespaces.a must be 'evict-coldest' or 'error', not \"refuse\"",
    ],
    [
      { dir: 'x', tiers: { ssd: false }, namespaces: { a: { onFull: 'error' } } },
      "onFull 'error' of namespaces.a needs a disk",
    ],
    [{ dir: 'x', tiers: { ssd: false, hdd: { path: 'h' } } }, 'tiers.hdd needs the SSD tier'],
    [{ dir: 'x', tiers: { ssd: { budget: '1mb' } } }, 'below the minimum of 16777216 bytes'],
    [
      { dir: 'x', tiers: { ssd: { ioBudget: 5 } } },
      'ioBudget of tiers.ssd is 5, below the minimum of 1048576',
    ],
    [{ dir: 'x', tiers: { ssd: { floor: -1 } } }, 'below the minimum of 0 bytes'],
    [{ dir: 'x', tiers: { remote: {} } }, 'the option remote of tiers is not supported by this version'],
    [{ dir: 'x', tiers: { ssd: true } }, 'tiers.ssd must be false or an object, not true'],
    [{ dir: 'x', tiers: { ssd: './ssd' } }, 'tiers.ssd must be false or an object, not "./ssd"'],
    [{ dir: 'x', tiers: { ssd: { path: '' } } }, 'path of tiers.ssd must be a non-empty string, not ""'],
    [{ dir: 'x', tiers: { ssd: { path: 5 } } }, 'path of tiers.ssd must be a non-empty string, not 5'],
    [{ dir: 'x', tiers: { ssd: { path: 'a\0b' } } }, 'path of tiers.ssd must not contain a zero byte'],
    [{ dir: 'x', tiers: { ssd: { path: 'x'.repeat(5000) } } }, 'path of tiers.ssd is 5000 bytes long'],
    [{ dir: 'x', tiers: { ssd: { pth: 's' } } }, 'unknown option "pth" in tiers.ssd; did you mean path?'],
    [{ dir: 'x', peers: [] }, 'the option peers of open() is not supported by this version'],
    [{ dir: 'x', listen: `/${'a'.repeat(107)}` }, 'above the maximum of 107 bytes'],
    [{ dir: 'x', listen: true }, 'listen must be'],
    [{ dir: 'x', listen: 5 }, 'listen must be'],
    [{ dir: 'x', namespaces: [] }, 'namespaces must be an object'],
    [{ dir: 'x', namespaces: { a: 5 } }, 'namespaces.a must be an object, not 5'],
    [{ dir: 'x', namespaces: { a: { ttl: 0 } } }, 'ttl of namespaces.a is 0, below the minimum of 1 ms'],
    [{ dir: 'x', namespaces: { a: { tll: 1 } } }, 'unknown option "tll" in namespaces.a; did you mean ttl?'],
    [{ dir: 'x', namespaces: { a: { pin: 1 } } }, 'pin of namespaces.a must be true or false, not 1'],
    [
      { dir: 'x', namespaces: { a: { quota: 1 } } },
      'quota of namespaces.a is 1, below the minimum of 4096 bytes',
    ],
    [
      { dir: 'x', namespaces: { a: { policy: 'lru' } } },
      'the option policy of namespaces.a is not supported',
    ],
    [
      { dir: 'x', tiers: { ssd: false }, namespaces: { a: { durability: 'sync' } } },
      'durability "sync" of namespaces.a needs a disk',
    ],
    [
      { dir: 'x', namespaces: { a: { durability: 'disk' } } },
      "must be 'none', 'async' or 'sync', not \"disk\"",
    ],
    [{ dir: 'x', namespaces: { a: { ack: 'all' } } }, "ack 'all' of namespaces.a"],
    [{ dir: 'x', namespaces: { a: { ack: { peers: 1 } } } }, 'ack { peers } of namespaces.a'],
    [{ dir: 'x', namespaces: { a: { ack: 1 } } }, 'not 1'],
    [{ dir: 'x', namespaces: { 'a b': {} } }, 'not "a b"'],
  ])('%j is refused', (options, message) => {
    expect(refusal(() => validateOpen(options, machineOf({})))).toContain(message)
  })

  it.each([-1, 1.5, '8', 1_000_001])('%j is no number of near entries', (nearEntries) => {
    expect(refusal(() => validateOpen({ dir: 'x', nearEntries }, machineOf({})))).toContain(
      'from 0 to 1000000',
    )
  })

  it('frozen is yes or no', () => {
    for (const options of [{ frozen: 1 }, { namespaces: { n: { frozen: 'yes' } } }]) {
      expect(refusal(() => validateOpen({ dir: 'x', ...options }, machineOf({})))).toContain('true or false')
    }
  })

  it('for attaching are only the directory and what a reader keeps', () => {
    expect(validateAttach({ dir: 'x', frozen: true })).toEqual({
      dir: 'x',
      nearEntries: 8192,
      isFrozen: true,
    })
    expect(refusal(() => validateAttach({ dir: 'x', memory: 1 }))).toContain(
      'unknown option "memory" in attach()',
    )
    expect(refusal(() => validateAttach({}))).toContain('attach() needs dir')
  })

  it.each(['a', 'tenant-1', 'a:b', 'a/b/c', '~', 'x'.repeat(64), '__proto__'])(
    'namespace name %s',
    (name) => {
      expect(checkNamespaceName(name)).toBe(name)
    },
  )

  it.each(['', ' ', 'a b', 'é', 'a\n', '/a', 'a/', 'a//b', 'x'.repeat(65), 5, undefined])(
    'no namespace name: %j',
    (name) => {
      expect(refusal(() => checkNamespaceName(name))).toContain('namespace name')
    },
  )
})

describe('call options', () => {
  const { signal } = new AbortController()

  it('come out in the units of the store', () => {
    const options = {
      ttl: '1s',
      idle: 5,
      tags: ['a'],
      durability: 'none',
      ack: 'local',
      signal,
      ifVersion: 'v1',
    }
    expect(validateSet(options, 'set()')).toEqual({
      ttlMs: 1000,
      idleMs: 5,
      tags: ['a'],
      durability: 'none',
      ifVersion: 'v1',
    })
    expect(validateSet({ ifAbsent: true, ifPresent: false }, 'set()')).toEqual({ ifAbsent: true })
    expect(validateSet({ ttl: undefined, ifAbsent: undefined }, 'set()')).toEqual({})
    expect(validateCounter({ init: -3, ttl: '1s' }, 'incr()')).toEqual({ init: -3, ttlMs: 1000 })
  })

  it.each<[unknown, string]>([
    [5, 'set() must be an object, not 5'],
    [{ tll: 5 }, 'unknown option "tll" in set(); did you mean ttl?'],
    [{ TTL: 5 }, 'did you mean ttl?'],
    [{ ttl: 0 }, 'ttl of set() is 0, below the minimum of 1 ms'],
    [{ idle: -1 }, 'idle of set() is -1'],
    [{ tags: 'a' }, 'tags of set() must be an array'],
    [{ tags: ['a', ''] }, 'a tag of set() must be a string of 1 to 255 bytes, not ""'],
    [{ tags: ['x'.repeat(256)] }, '1 to 255 bytes'],
    [{ durability: 'disk' }, "must be 'none', 'async' or 'sync'"],
    [{ ack: 'all' }, 'not supported by this version'],
    [{ signal: {} }, 'signal of set() must be an AbortSignal'],
    [{ ifVersion: 5 }, 'ifVersion of set() must be a version'],
    [{ ifAbsent: 1 }, 'ifAbsent of set() must be true or false, not 1'],
    [{ ifAbsent: true, ifPresent: true }, 'cannot combine ifAbsent with ifPresent'],
    [{ ifAbsent: true, ifVersion: 'v1' }, 'cannot combine ifAbsent with ifVersion'],
  ])('%j is refused', (options, message) => {
    expect(refusal(() => validateSet(options, 'set()'))).toContain(message)
  })

  it('have no conditions where a group or an absent key is meant', () => {
    for (const options of [{ ifVersion: 'v' }, { ifAbsent: true }, { ifPresent: true }]) {
      expect(refusal(() => validateWrite(options, 'setMany()'))).toContain('unknown option')
    }
  })

  it.each<[unknown, string]>([
    [{ init: 1.5 }, 'init of incr() must be a whole number'],
    [{ init: 2 ** 53 }, 'not 9007199254740992'],
    [{ init: '1' }, 'not "1"'],
    [{ by: 1 }, 'unknown option "by"'],
  ])('of counters: %j is refused', (options, message) => {
    expect(refusal(() => validateCounter(options, 'incr()'))).toContain(message)
  })

  it.each<[unknown, string]>([
    [{ prefix: 5 }, 'prefix of scan() must be a string'],
    [{ match: /a/ }, 'match of scan() must be a string, not a RegExp'],
    [{ tier: 'remote' }, "tier of scan() must be 'ram', 'ssd' or 'hdd' in this version"],
    [{ tier: 'disk' }, "tier of scan() must be 'ram', 'ssd' or 'hdd', not"],
    [{ limit: 0 }, 'limit of scan() must be a whole number of at least 1, not 0'],
    [{ limit: 1.5 }, 'not 1.5'],
    [{ pattern: '*' }, 'unknown option "pattern"'],
  ])('of scans: %j is refused', (options, message) => {
    expect(refusal(() => validateScan(options, 'scan()'))).toContain(message)
  })
})

it('suggests the nearest name only when it is near', () => {
  const known = ['memory', 'namespaces', 'listen']
  expect(nearestName('memmory', known)).toBe('memory')
  expect(nearestName('Namespace', known)).toBe('namespaces')
  expect(nearestName('lsiten', known)).toBe('listen')
  expect(nearestName('port', known)).toBe(undefined)
  expect(nearestName('m'.repeat(1000), known)).toBe(undefined)
})
