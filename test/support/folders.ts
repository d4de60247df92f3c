/** Folders of tests: made for one test, gone after it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** A folder that is removed when the running test ends. */
export function testFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ramcache-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}
