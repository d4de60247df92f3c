/** `ramcache promote`. */
import type { Command } from '../command.ts'
import { LIVE_HELP } from '../live.ts'
import { MOVE_HELP, MOVE_OPTIONS, move } from '../moving.ts'

export const promoteCommand: Command = {
  name: 'promote',
  help: `usage: ramcache promote KEY|PATTERN... [--exact] [-s SOCKET | -d DIR] [-n NAMESPACE]

Brings entries up to RAM, as a second read within a minute would; there they stay as long as they are worth it (pin keeps them).
In a directory that nobody has open they are put on the list of what comes up at the next start. Of a blob its description comes up,
not its bytes. Exit code 1 when there is no such entry, or when one does not fit into RAM.

${MOVE_HELP}  --json            how many, by what became of them: moved, already, absent, pinned, unfit
${LIVE_HELP}`,
  options: MOVE_OPTIONS,
  run: (positionals, values, io) =>
    move(positionals, values, io, 'promote', {
      moved: 'brought up',
      already: 'in RAM already',
      absent: 'not there',
      unfit: 'too large for RAM',
    }),
}
