#!/usr/bin/env node
/** The executable: binds `run` to this process. */

import { systemClock } from '../base/clock.ts'
import { ExitCode } from './exit-codes.ts'
import { run } from './run.ts'

const stop = new AbortController()
// Once: a second Ctrl-C ends the process at once, however busy it is.
process.once('SIGINT', () => stop.abort())

// A reader that has seen enough (`| head`) closes the pipe; that is no error of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? ExitCode.done : ExitCode.io)
})

process.exitCode = await run(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  stdin: process.stdin,
  env: process.env,
  now: () => systemClock.monotonicUs() / 1000,
  signal: stop.signal,
})
