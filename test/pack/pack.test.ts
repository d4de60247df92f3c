/** The package as npm makes it: packed, installed in an empty folder, imported, required, run. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
// The crates are built once for the tree and for what is installed from it.
const env = { ...process.env, CARGO_TARGET_DIR: join(root, 'native', 'target') }
let folder: string
let tarball: string

function npm(cwd: string, ...args: string[]): string {
  return execFileSync('npm', [...args, '--no-audit', '--no-fund'], {
    cwd,
    env,
    encoding: 'utf8',
    stdio: 'pipe',
  })
}

function node(cwd: string, type: 'module' | 'commonjs', script: string) {
  return spawnSync(process.execPath, [`--input-type=${type}`, '-e', script], { cwd, encoding: 'utf8' })
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ramcache-pack-'))
  // As it has been built: building would rewrite `dist` under the tests that run beside this one.
  const [packed] = JSON.parse(npm(root, 'pack', '--ignore-scripts', '--json', '--pack-destination', folder))
  tarball = join(folder, packed.filename)
  writeFileSync(join(folder, 'package.json'), '{ "name": "user", "private": true }')
}, 300_000)

afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

it('with install scripts blocked, loading says which command to run', { timeout: 300_000 }, () => {
  npm(folder, 'install', '--ignore-scripts', tarball)
  const script =
    "import('ramcache').then(({ open }) => open({ dir: 'd', memory: '1mb' })).catch((e) => console.log(e.code, e.message))"
  const { stdout } = node(folder, 'commonjs', script)
  expect(stdout).toContain('ERR_RAMCACHE_UNAVAILABLE')
  expect(stdout).toContain('npm rebuild ramcache')
  expect(existsSync(join(folder, 'd'))).toBe(false)
})

it('has the code and the types of every sub-path', { timeout: 300_000 }, () => {
  npm(folder, 'install', '--ignore-scripts', tarball)
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const subPaths = Object.keys(exports).filter((name) => typeof exports[name] === 'object')
  expect(subPaths).toContain('./keep')
  for (const name of subPaths) {
    expect(existsSync(join(folder, 'node_modules', 'ramcache', exports[name].types)), name).toBe(true)
    const script = `const names = Object.keys(await import('ramcache${name.slice(1)}')); console.log(names.length > 0)`
    const { stdout, stderr } = node(folder, 'module', script)
    expect(stdout + stderr, name).toBe('true\n')
  }
})

it('with install scripts allowed, it imports, requires and runs', { timeout: 600_000 }, () => {
  npm(folder, 'install', '--ignore-scripts', tarball)
  npm(folder, 'rebuild', 'ramcache')
  const use =
    "open({ dir: 'd', memory: '1mb' }).then(async (cache) => { await cache.set('k', { a: [1] }); console.log(JSON.stringify(await cache.get('k'))); await cache.close() })"
  const imported = node(folder, 'module', `import { open } from 'ramcache'; await ${use}`)
  expect(imported.stderr + imported.stdout).toContain('{"a":[1]}')
  const required = node(folder, 'commonjs', `const { open } = require('ramcache'); ${use}`)
  expect(required.stdout).toContain('{"a":[1]}')
  const wincache = node(
    folder,
    'commonjs',
    "const { openSync, wincache_ucache_inc, wincache_ucache_set } = require('ramcache/wincache'); openSync({ dir: 'd', memory: '1mb' }); wincache_ucache_set('k', 1); console.log(wincache_ucache_inc('k'))",
  )
  expect(wincache.stderr + wincache.stdout).toBe('2\n')
  const bin = spawnSync(join(folder, 'node_modules', '.bin', 'ramcache'), ['--version'], { encoding: 'utf8' })
  expect(bin.stdout).toMatch(/\d+\.\d+\.\d+/)
  expect(bin.status).toBe(0)
})
