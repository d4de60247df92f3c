/** Every benchmark runs, small, so that none can rot. What it prints as speed means nothing here. */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))

it('all benchmarks run at a small size', { timeout: 300_000 }, () => {
  execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'bench'], { cwd: root })
  const output = execFileSync(process.execPath, ['bench/dist/main.js', '--small'], {
    cwd: root,
    encoding: 'utf8',
  })
  const tiers = ['disk', 'restart', 'index-checkpoint', 'cold-batches']
  const shared = ['reads', 'objects', 'shared', 'socket', 'contention', 'tail']
  for (const name of ['call-cost', ...shared, 'memory', 'growth', ...tiers]) {
    expect(output).toContain(`== ${name}`)
  }
  expect(output).toContain('lmdb-js, second process')
  expect(output).toContain('longest set')
  // A client of the tail table that finds nothing measures nothing.
  expect(output).not.toContain('gets found nothing')
  expect(output).toContain('ramcache, spilling to SSD and HDD: get')
})
