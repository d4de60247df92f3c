/** `ramcache backup`: a copy of the files of a store. */
import { backup } from '../../keep.ts'
import type { Command } from '../command.ts'
import { ExitCode } from '../exit-codes.ts'
import { checkCount, OPEN_HELP, OPEN_OPTIONS, sizeOf, withStore } from '../offline.ts'

export const backupCommand: Command = {
  name: 'backup',
  help: `usage: ramcache backup TARGET -d DIR

Copies a store that no process has open to TARGET, a directory that is empty or new. (The process that has it open calls
backup() of ramcache/keep, and goes on meanwhile.)

${OPEN_HELP}  --json           what was copied, as one object
`,
  options: OPEN_OPTIONS,
  async run(positionals, values, io) {
    checkCount(positionals, 1, 1, 'one TARGET')
    const report = await withStore(values, io, false, (cache) =>
      backup(cache, positionals[0] as string, io.signal === undefined ? {} : { signal: io.signal }),
    )
    const { path, entries, files, bytes } = report
    io.stdout.write(
      values.json === true
        ? `${JSON.stringify(report)}\n`
        : `${path}: ${entries} rows in ${files} files, ${sizeOf(bytes)}\n`,
    )
    return ExitCode.done
  },
}
