/** `npm run lint`: formatting, lint rules and types of both languages. Runs every check, then says which failed. */
import { main, run, setUp, tools } from './setup.mjs'

const manifest = ['--manifest-path', 'native/Cargo.toml']

await main(async () => {
  // The types of the benchmarks' packages are checked too.
  await setUp({ bench: true })
  const checks = [
    ['biome', process.execPath, [tools.biome, 'check', '--error-on-warnings', '.']],
    ['types', process.execPath, [tools.tsc, '--noEmit', '-p', '.']],
    ['cargo fmt', 'cargo', ['fmt', ...manifest, '--all', '--check']],
    [
      'clippy',
      'cargo',
      [
        'clippy',
        '--locked',
        ...manifest,
        '--workspace',
        '--profile',
        'checked',
        '--all-targets',
        '--',
        '-D',
        'warnings',
      ],
    ],
  ]
  const failed = []
  for (const [name, program, args] of checks) {
    if ((await run(program, args)) !== 0) failed.push(name)
  }
  console.log(failed.length === 0 ? 'lint: all clean' : `lint: failed: ${failed.join(', ')}`)
  return failed.length === 0 ? 0 : 1
})
