/**
 * Builds the native part with cargo and puts it at `build/Release/ramcache.node`.
 *
 * Node built-ins only: it also runs where the package is a dependency and no devDependency is installed.
 * `RAMCACHE_NATIVE_DEBUG=1` builds without optimisation (assertions on).
 */
import { spawn } from 'node:child_process'
import { copyFileSync, mkdirSync, realpathSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const target = join(root, 'build', 'Release', 'ramcache.node')
const crate = 'ramcache-node'

/** Oldest Rust the crates are built with; the same number as `rust-version` in native/Cargo.toml. */
const rustVersionMin = '1.88'

const adviceWithoutCargo = [
  `ramcache: cargo was not found. The native part of ramcache is built from source and needs Rust ${rustVersionMin} or newer.`,
  'Install it from https://rustup.rs, or with your distribution (Debian, Ubuntu: apt-get install rustup gcc),',
  'then run: npm rebuild ramcache (in an application) or npm run build:native (in the source tree).',
].join('\n')

/** The message is meant to be shown as it is. */
export class BuildFailed extends Error {}

/** Runs cargo; resolves to its exit code and the path of the library it made or found fresh. */
function runCargo(args) {
  return new Promise((resolve, reject) => {
    const cargo = spawn('cargo', args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] })
    let library
    const lines = createInterface({ input: cargo.stdout })
    lines.on('line', (line) => {
      library = libraryOf(line) ?? library
    })
    const drained = new Promise((done) => lines.once('close', done))
    cargo.once('error', reject)
    cargo.once('close', (code) => drained.then(() => resolve({ code, library })))
  })
}

/** The path of our dynamic library, when this line of cargo's JSON output announces it. */
function libraryOf(line) {
  if (!line.startsWith('{')) return undefined
  const message = JSON.parse(line)
  if (message.reason !== 'compiler-artifact') return undefined
  if (message.target.name.replaceAll('_', '-') !== crate) return undefined
  if (!message.target.kind.includes('cdylib')) return undefined
  return message.filenames.find((name) => /\.(so|dylib|dll)$/.test(name))
}

/** A loaded .node must never be truncated (that kills its process), so the new one is renamed over it. */
function install(library) {
  const temporary = `${target}.${process.pid}.tmp`
  mkdirSync(dirname(target), { recursive: true })
  try {
    copyFileSync(library, temporary)
    renameSync(temporary, target)
  } finally {
    rmSync(temporary, { force: true })
  }
}

/** Builds and installs the library; returns its path. */
export async function buildNative() {
  const args = ['build', '--locked', '--manifest-path', join(root, 'native', 'Cargo.toml'), '-p', crate]
  args.push('--message-format=json-render-diagnostics')
  if (process.env.RAMCACHE_NATIVE_DEBUG !== '1') args.push('--release')
  const { code, library } = await runCargo(args).catch((error) => {
    throw error.code === 'ENOENT' ? new BuildFailed(adviceWithoutCargo) : error
  })
  if (code !== 0) {
    throw new BuildFailed(
      `ramcache: cargo could not build the native part (exit code ${code}); its messages are above. Needed: Rust ${rustVersionMin} or newer and a C linker.`,
    )
  }
  if (library === undefined) throw new BuildFailed(`ramcache: cargo reported no dynamic library for ${crate}`)
  install(library)
  return target
}

// The real path, because the folder may be reached through a symbolic link and the URL of a module never is.
if (process.argv[1] && import.meta.url === pathToFileURL(realpathSync(process.argv[1])).href) {
  try {
    await buildNative()
  } catch (error) {
    console.error(error instanceof BuildFailed ? error.message : error)
    process.exitCode = 1
  }
}
