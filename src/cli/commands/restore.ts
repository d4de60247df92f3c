/** `ramcache restore`: a store from a backup. */
import { restore } from '../../keep.ts'
import type { Command } from '../command.ts'
import { ExitCode } from '../exit-codes.ts'
import {
  checkCount,
  DIRECTORY_HELP,
  DIRECTORY_OPTIONS,
  directoryOf,
  foreseen,
  sizeOf,
  tiersOf,
} from '../offline.ts'

export const restoreCommand: Command = {
  name: 'restore',
  help: `usage: ramcache restore BACKUP -d DIR

A store in DIR, which must be empty or new, as it was when the backup was made. Every byte is checked first.

${DIRECTORY_HELP}  --json           what was restored, as one object
`,
  options: DIRECTORY_OPTIONS,
  async run(positionals, values, io) {
    checkCount(positionals, 1, 1, 'one BACKUP')
    const dir = directoryOf(values, io)
    const signal = io.signal === undefined ? {} : { signal: io.signal }
    const report = await foreseen(io, () =>
      restore(positionals[0] as string, dir, { ...tiersOf(values), ...signal }),
    )
    const { path, entries, bytes, createdAt } = report
    io.stdout.write(
      values.json === true
        ? `${JSON.stringify(report)}\n`
        : `${path}: ${entries} rows, ${sizeOf(bytes)}, as of ${new Date(createdAt).toISOString()}\n`,
    )
    return ExitCode.done
  },
}
