/** Small file systems, which only root may mount. Without that right a test fails and says so; it is never skipped. */
import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { testFolder } from './folders.ts'

export function smallDisk(megabytes: number): string {
  const dir = join(testFolder(), 'disk')
  mkdirSync(dir)
  mount('-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', dir)
  return dir
}

/** From now on nothing can be made under a directory; what is open for writing stays so. Ends with what it returns. */
export function readOnly(dir: string): () => void {
  mount('--bind', dir, dir)
  execFileSync('mount', ['-o', 'remount,bind,ro', dir])
  let isOver = false
  return () => {
    if (!isOver) execFileSync('umount', ['-l', dir])
    isOver = true
  }
}

function mount(...options: string[]): void {
  const dir = options.at(-1) as string
  try {
    execFileSync('mount', options, { stdio: 'pipe' })
  } catch (error) {
    const message = 'a failing disk cannot be tried without the right to mount one: run this as root'
    throw new Error(message, { cause: error })
  }
  onTestFinished(() => {
    // What was mounted over it goes with it.
    try {
      execFileSync('umount', ['-l', dir], { stdio: 'pipe' })
    } catch {}
  })
}
