/**
 * What start, test, lint and bench need before they can begin: the packages of the lock file, the native part and the
 * compiled TypeScript. Does only what is missing or out of date, so a second run costs about a second.
 */
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { BuildFailed, buildNative } from './build-native.mjs'

export const root = join(dirname(fileURLToPath(import.meta.url)), '..')

/** A step that failed after it has told why; the scripts end with code 1 and add nothing. */
export class StepFailed extends Error {}

/**
 * Runs a program in the root folder with its output shown; resolves to its exit code. `onOutput` gets what it prints
 * on standard output as well.
 */
export function run(program, args, { env = {}, cwd = root, onOutput } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['inherit', onOutput ? 'pipe' : 'inherit', 'inherit'],
    })
    child.stdout?.on('data', (chunk) => {
      process.stdout.write(chunk)
      onOutput(chunk.toString())
    })
    child.once('error', reject)
    child.once('close', (code, signal) => resolve(code ?? (signal === 'SIGINT' ? 130 : 1)))
  })
}

/** The same, but a code other than 0 ends the script. */
export async function step(program, args, options) {
  const code = await run(program, args, options)
  if (code !== 0) throw new StepFailed(`ramcache: ${program} ${args.join(' ')} ended with code ${code}`)
}

/** A JavaScript program of an installed package. */
export function tool(...path) {
  return join(root, 'node_modules', ...path)
}

export const tools = {
  tsc: tool('typescript', 'bin', 'tsc'),
  biome: tool('@biomejs', 'biome', 'bin', 'biome'),
  vitest: tool('vitest', 'vitest.mjs'),
}

/** Everything up to a built package; `bench` adds the packages of the benchmarks. */
export async function setUp({ bench = false } = {}) {
  // Scripts are off for our own folder only because its install script is the native build, which follows here.
  await installPackages(root, ['--ignore-scripts'])
  if (bench && existsSync(join(root, 'bench', 'package.json'))) await installPackages(join(root, 'bench'), [])
  await buildNative()
  await buildTypeScript()
}

async function installPackages(folder, flags) {
  const lock = join(folder, 'package-lock.json')
  const installed = join(folder, 'node_modules', '.package-lock.json')
  if (existsSync(installed) && (!existsSync(lock) || timeOf(installed) >= timeOf(lock))) return
  await step(
    'npm',
    [existsSync(lock) ? 'ci' : 'install', '--include=dev', '--no-audit', '--no-fund', ...flags],
    {
      cwd: folder,
    },
  )
  // npm keeps the time of an unchanged tree, which would install again each time.
  if (existsSync(installed)) utimesSync(installed, new Date(), new Date())
}

async function buildTypeScript() {
  // Not in dist, which is published.
  const stamp = join(root, 'build', '.typescript-built')
  const sources = ['tsconfig.json', 'tsconfig.build.json', 'package.json'].map((name) => join(root, name))
  const newest = Math.max(newestIn(join(root, 'src')), ...sources.map(timeOf))
  const isBuilt = existsSync(stamp) && existsSync(join(root, 'dist', 'index.js'))
  if (isBuilt && timeOf(stamp) > newest) return
  const begun = new Date()
  await step(process.execPath, [tools.tsc, '-p', 'tsconfig.build.json'])
  writeFileSync(stamp, '')
  // A file saved while the compiler ran must count as newer.
  utimesSync(stamp, begun, begun)
}

function newestIn(folder) {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true })
  // Folders too: their time tells of deleted files.
  return Math.max(
    timeOf(folder),
    ...entries.map((entry) => timeOf(join(entry.parentPath ?? entry.path, entry.name))),
  )
}

function timeOf(path) {
  return statSync(path).mtimeMs
}

/** Runs the body of a script: its result is the exit code, its errors become one message. */
export async function main(body) {
  try {
    process.exitCode = (await body(process.argv.slice(2))) ?? 0
  } catch (error) {
    console.error(error instanceof StepFailed || error instanceof BuildFailed ? error.message : error)
    process.exitCode = 1
  }
}
