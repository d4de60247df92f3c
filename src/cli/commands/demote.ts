/** `ramcache demote`. */
import type { Command } from '../command.ts'
import { LIVE_HELP } from '../live.ts'
import { MOVE_HELP, MOVE_OPTIONS, move } from '../moving.ts'

export const demoteCommand: Command = {
  name: 'demote',
  help: `usage: ramcache demote KEY|PATTERN... [--exact] [-s SOCKET | -d DIR] [-n NAMESPACE]

Takes entries out of RAM, once they are on disk; nothing is deleted, and reads bring them up again. In a directory that nobody
has open they are taken off the list of what comes up at the next start. Of a blob its description goes, not its bytes. Exit code 1
when there is no such entry, or when one is pinned and stays; 78 for a store that has nothing below RAM.

${MOVE_HELP}  --json            how many, by what became of them: moved, already, absent, pinned, unfit
${LIVE_HELP}`,
  options: MOVE_OPTIONS,
  run: (positionals, values, io) =>
    move(positionals, values, io, 'demote', {
      moved: 'taken out of RAM',
      already: 'not in RAM',
      absent: 'not there',
      pinned: 'pinned, and stay',
    }),
}
