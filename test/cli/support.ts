/** A command line without a process: arguments in, exit code and both outputs out. */

import type { CliIo, CommandEntry } from '../../src/cli/command.ts'
import { createReplayCommand } from '../../src/cli/commands/replay.ts'
import { run } from '../../src/cli/run.ts'
import type { OpenSubject } from '../../src/simulator/subject.ts'
import { openLruSubject } from '../simulator/support.ts'

export interface Outcome {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

/** The table of verbs with a store of the test's choice behind `replay`. */
export function commandsWith(openSubject: OpenSubject = openLruSubject): CommandEntry[] {
  const load = async () => createReplayCommand(openSubject)
  return [{ name: 'replay', summary: 'summary of replay', load }]
}

export async function runCli(
  argv: readonly string[],
  io: Partial<CliIo> = {},
  commands: readonly CommandEntry[] = commandsWith(),
): Promise<Outcome> {
  let stdout = ''
  let stderr = ''
  let time = 0
  const capture: CliIo = {
    stdout: {
      write: (text) => {
        stdout += text
      },
    },
    stderr: {
      write: (text) => {
        stderr += text
      },
    },
    env: {},
    now: () => time++,
    ...io,
  }
  const exitCode = await run(argv, capture, commands)
  return { exitCode, stdout, stderr }
}
