/**
 * The rules of the source tree: who may import whom, where time, chance and the environment come from, how long a file
 * may be, and that no test is left aside.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { errorTable } from '../../src/base/errors.ts'
import { version } from '../../src/base/version.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** A room is a folder of src/; everyone may import their own room and `base`. */
const rooms: Readonly<Record<string, readonly string[]>> = {
  base: [],
  config: [],
  codec: [],
  observe: [],
  simulator: [],
  native: ['codec'],
  tiers: ['config', 'native', 'observe'],
  client: ['config', 'codec', 'native', 'observe'],
  owner: ['config', 'codec', 'native', 'tiers', 'observe'],
  replication: ['config', 'owner', 'observe'],
  cache: ['config', 'codec', 'native', 'owner', 'client', 'replication', 'observe'],
  keep: ['config', 'codec', 'native', 'tiers', 'owner', 'cache'],
  server: ['config', 'codec', 'native', 'owner', 'cache', 'keep'],
  daemon: ['cache', 'owner', 'replication', 'config', 'native', 'observe'],
  adapters: ['index', 'config'],
  cli: ['index', 'cache', 'daemon', 'keep', 'config', 'simulator', 'native', 'observe'],
  wincache: ['index', 'config', 'codec'],
  index: ['cache', 'config', 'keep', 'wincache'],
}

/** Packages, and the one file that may import each. */
const libraries: Readonly<Record<string, string>> = {
  msgpackr: 'src/codec/msgpack.ts',
  lmdb: 'src/tiers/lmdb-file.ts',
  'classic-level': 'src/tiers/hdd.ts',
  'jsonc-parser': 'src/config/config-file.ts',
}

const lineCountMax = 400
const lineCountMaxRust = 600

interface SourceFile {
  readonly path: string
  readonly text: string
  readonly lines: readonly string[]
}

function filesIn(folder: string, ...endings: string[]): SourceFile[] {
  if (!existsSync(join(root, folder))) return []
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => endings.some((ending) => path.endsWith(ending)))
    .filter((path) => !/(^|\/)(node_modules|dist|target|build)\//.test(path))
    .sort()
    .map((path) => {
      const text = readFileSync(join(root, path), 'utf8')
      return { path, text, lines: text.split('\n') }
    })
}

const sources = filesIn('src', '.ts')
const tests = filesIn('test', '.ts')
const scripts = filesIn('scripts', '.mjs')
const rust = filesIn('native', '.rs')
const everything = [
  ...sources,
  ...tests,
  ...scripts,
  ...rust,
  ...filesIn('bench', '.ts'),
  ...filesIn('examples', '.ts'),
]

/** What a file imports, type-only imports included: `import`, `export ... from`, `import()` and `import('x').T`. */
function importsOf({ text }: SourceFile): string[] {
  const code = text.replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '')
  const pattern = /(?:\bfrom\s+|\bimport\s*\(\s*|^import\s+)(['"])([^'"\n]+)\1/gm
  return [...code.matchAll(pattern)].map((match) => match[2] as string)
}

/** `base`, `codec`, ...; `index` for what lies directly in src/. */
function roomOf(path: string): string {
  const parts = path.split('/')
  return parts.length === 2 ? 'index' : (parts[1] as string)
}

function targetOf(file: SourceFile, specifier: string): string {
  return relative(root, join(root, dirname(file.path), specifier))
}

function findings(
  files: readonly SourceFile[],
  pattern: RegExp,
  isAllowed: (path: string) => boolean,
): string[] {
  return files
    .filter(({ path }) => !isAllowed(path))
    .flatMap(({ path, lines }) =>
      lines.flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : [])),
    )
}

describe('imports', () => {
  it('finds all of them', () => {
    const text = [
      "import a from './a.ts'",
      "import type { B } from './b.ts'",
      "export * from './c.ts'",
      "import {\n  d,\n} from './d.ts'",
      "import './e.ts'",
      "const f = await import('./f.ts')",
      "type G = import('./g.ts').G",
      "// import h from './h.ts'",
      "/* import i from './i.ts' */",
    ].join('\n')
    const found = importsOf({ path: '', text, lines: [] }).map((specifier) => specifier[2])
    expect(found.join('')).toBe('abcdefg')
  })

  it('stay within the rooms', () => {
    const wrong: string[] = []
    for (const file of sources) {
      const room = roomOf(file.path)
      const allowed = rooms[room]
      if (allowed === undefined) wrong.push(`${file.path}: no rule for the room ${room}`)
      for (const specifier of importsOf(file).filter((name) => name.startsWith('.'))) {
        const target = targetOf(file, specifier)
        const other = roomOf(target)
        if (!target.startsWith('src/')) wrong.push(`${file.path} imports ${target}, which is outside of src/`)
        else if (!existsSync(join(root, target)))
          wrong.push(`${file.path} imports ${target}, which does not exist`)
        else if (other !== room && other !== 'base' && !allowed?.includes(other)) {
          wrong.push(`${file.path} imports ${target}: ${room} may not import ${other}`)
        }
      }
    }
    expect(wrong).toEqual([])
  })

  it('load the native part and a foreign library in one file each', () => {
    const wrong = sources.flatMap((file) =>
      importsOf(file)
        .filter((specifier) => specifier in libraries && libraries[specifier] !== file.path)
        .map((specifier) => `${file.path} imports ${specifier}`),
    )
    expect(wrong).toEqual([])
    expect(
      findings(sources, /\bcreateRequire\(|\.node['"`]/, (path) => path === 'src/native/binding.ts'),
    ).toEqual([])
  })

  it('name only packages that are dependencies', () => {
    const { dependencies = {} } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    const packages = sources.flatMap((file) =>
      importsOf(file).filter((name) => !name.startsWith('.') && !name.startsWith('node:')),
    )
    expect([...new Set(packages)].filter((name) => !(name in dependencies))).toEqual([])
  })

  it('have no cycles', () => {
    const graph = new Map(
      sources.map((file) => [
        file.path,
        importsOf(file)
          .filter((name) => name.startsWith('.'))
          .map((name) => targetOf(file, name)),
      ]),
    )
    const done = new Set<string>()
    const cycles: string[] = []
    const visit = (path: string, above: readonly string[]): void => {
      if (above.includes(path)) cycles.push([...above.slice(above.indexOf(path)), path].join(' -> '))
      if (done.has(path) || above.includes(path)) return
      for (const next of graph.get(path) ?? []) visit(next, [...above, path])
      done.add(path)
    }
    for (const path of graph.keys()) visit(path, [])
    expect(cycles).toEqual([])
  })

  it('carry their extension', () => {
    const wrong = [...sources, ...tests].flatMap((file) =>
      importsOf(file)
        .filter((name) => name.startsWith('.') && !/\.(ts|mjs|json)$/.test(name))
        .map((name) => `${file.path}: ${name}`),
    )
    expect(wrong).toEqual([])
  })
})

describe('the source', () => {
  it('takes time only from base/clock.ts', () => {
    const pattern = /\bDate\.now\b|\bnew Date\(\)|\bperformance\.|\bprocess\.hrtime\b/
    expect(findings(sources, pattern, (path) => path === 'src/base/clock.ts')).toEqual([])
  })

  it('takes chance only from base/prng.ts', () => {
    const pattern = /\bMath\.random\b|\brandomBytes\b|\brandomUUID\b|\bgetRandomValues\b/
    expect(findings(sources, pattern, (path) => path === 'src/base/prng.ts')).toEqual([])
  })

  it('reads the environment only in config, cli and the loader', () => {
    const isAllowed = (path: string) => /^src\/(config|cli)\/|^src\/native\/binding\.ts$/.test(path)
    expect(findings(sources, /\bprocess\.env\b/, isAllowed)).toEqual([])
  })

  it('prints only in cli and daemon', () => {
    const isAllowed = (path: string) => /^src\/(cli|daemon)\//.test(path)
    expect(findings(sources, /\bconsole\.|\bprocess\.std(out|err)\b/, isAllowed)).toEqual([])
  })

  it('has short files', () => {
    const long = everything
      .map(({ path, lines }) => ({ path, count: lines.length - 1 }))
      .filter(({ path, count }) => count > (path.endsWith('.rs') ? lineCountMaxRust : lineCountMax))
    expect(long).toEqual([])
  })

  it('begins each file by saying what it is', () => {
    const silent = sources.filter(({ text }) => !/^(#!.*\n)?(\/\*\*|\/\/)/.test(text)).map(({ path }) => path)
    expect(silent).toEqual([])
  })

  it('names no place of one machine', () => {
    // Put together here, so that this file does not find itself.
    const pattern = new RegExp(['/ho' + 'me/\\w', '/ro' + 'ot/', '/wo' + 'rk/', '/Us' + 'ers/\\w'].join('|'))
    expect(findings(everything, pattern, () => false)).toEqual([])
  })
})

describe('tests', () => {
  it('are neither skipped nor alone', () => {
    const pattern =
      /\b(it|test|describe|bench|suite)\b[\w.]*\.(skip|only|todo|fails|skipIf|runIf)\b|\bxit\(|\bxdescribe\(/
    expect(findings(tests, pattern, (path) => path === 'test/tidy/rooms.test.ts')).toEqual([])
    expect(findings(rust, /#\[ignore/, () => false)).toEqual([])
  })

  it('do not wait for a time', () => {
    const pattern = /\bsetTimeout\(\s*\w+\s*,\s*\d|\bsleep\(\d/
    expect(findings(tests, pattern, (path) => path === 'test/tidy/rooms.test.ts')).toEqual([])
  })
})

describe('documents', () => {
  it('list every error code, and code uses no other', () => {
    const text = readFileSync(join(root, 'docs/ERRORS.md'), 'utf8')
    for (const code of Object.keys(errorTable)) expect(text).toContain(`\`${code}\``)
    const used = new Set(
      [...sources, ...rust].flatMap(({ text }) =>
        [...text.matchAll(/ERR_RAMCACHE_[A-Z_]*[A-Z]/g)].map(([code]) => code),
      ),
    )
    // Between the native part and its caller only: `translate` turns it into a symbol.
    used.delete('ERR_RAMCACHE_COLD')
    expect([...used].filter((code) => !(code in errorTable))).toEqual([])
  })

  it('agree on the version', () => {
    expect(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version).toBe(version)
  })
})
