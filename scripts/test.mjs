/**
 * `npm test`: the tests of both languages; the last line is `N passed, N failed` over all of them.
 * `npm test -- FILTER...` runs the TypeScript tests alone, those whose file name holds a filter.
 *
 * A skipped or ignored test counts as failed: it would otherwise stay forgotten.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { main, root, run, setUp, tools } from './setup.mjs'

const manifest = ['--locked', '--manifest-path', 'native/Cargo.toml']

await main(async (filters) => {
  await setUp({ bench: true })
  const results = []
  if (filters.length === 0) {
    results.push(
      await cargoTest('Rust', [...manifest, '--workspace', '--profile', 'checked', '--no-fail-fast']),
    )
    if (existsSync(join(root, 'native', 'core', 'tests', 'loom', 'main.rs'))) results.push(await loomTest())
  }
  results.push(await vitest(filters))
  const passed = results.reduce((sum, result) => sum + result.passed, 0)
  const failed = results.reduce((sum, result) => sum + result.failed, 0)
  console.log(`\n${passed} passed, ${failed} failed`)
  return failed === 0 && passed > 0 ? 0 : 1
})

/** Models of the lock-free parts, under every interleaving loom finds; built apart, as the flag changes every crate. */
function loomTest() {
  const flags = `${process.env.RUSTFLAGS ?? ''} --cfg loom`.trim()
  return cargoTest('loom', [...manifest, '-p', 'ramcache-core', '--release', '--test', 'loom'], {
    RUSTFLAGS: flags,
    CARGO_TARGET_DIR: join(root, 'native', 'target', 'loom'),
  })
}

async function cargoTest(name, args, env = {}) {
  console.log(`\n== ${name} tests`)
  let output = ''
  const code = await run('cargo', ['test', ...args], {
    // Colours would stand between the words that are counted.
    env: { CARGO_TERM_COLOR: 'never', ...env },
    onOutput: (text) => {
      output += text
    },
  })
  let passed = 0
  let failed = 0
  for (const [, ok, bad, ignored] of output.matchAll(
    /^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored/gm,
  )) {
    passed += Number(ok)
    failed += Number(bad) + Number(ignored)
  }
  // What does not compile has no result lines.
  return { passed, failed: code === 0 ? failed : Math.max(failed, 1) }
}

async function vitest(filters) {
  console.log('\n== TypeScript tests')
  const folder = mkdtempSync(join(tmpdir(), 'ramcache-test-'))
  const report = join(folder, 'vitest.json')
  try {
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
    const code = await run(process.execPath, [tools.vitest, 'run', ...reporters, ...filters])
    if (!existsSync(report)) return { passed: 0, failed: 1 }
    const { numPassedTests, numFailedTests, numPendingTests, numTodoTests } = JSON.parse(
      readFileSync(report, 'utf8'),
    )
    // With filters, what was filtered out is reported as pending too.
    const skipped = filters.length === 0 ? numPendingTests + numTodoTests : 0
    const failed = numFailedTests + skipped
    // A file that cannot even be loaded has no tests to count.
    return { passed: numPassedTests, failed: code === 0 ? failed : Math.max(failed, 1) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
