/** `ramcache pin`. */
import type { Command } from '../command.ts'
import { LIVE_HELP } from '../live.ts'
import { MOVE_HELP, MOVE_OPTIONS, move } from '../moving.ts'

export const pinCommand: Command = {
  name: 'pin',
  help: `usage: ramcache pin KEY|PATTERN... [--off] [--exact] [-s SOCKET | -d DIR] [-n NAMESPACE]

Keeps entries in RAM, whatever else is written and read, also after a restart: those there are now, not those that are
written later. Of a blob its description is pinned, not its bytes. All pinned entries of a store may take half of the memory for
entries; beyond that it ends with 74, and those before stay pinned. Exit code 1 when there is no such entry.

  --off             lets them go
${MOVE_HELP}  --json            how many, by what became of them: moved, already, absent, pinned, unfit
${LIVE_HELP}`,
  options: { ...MOVE_OPTIONS, off: { type: 'boolean' } },
  run: (positionals, values, io) =>
    values.off === true
      ? move(positionals, values, io, 'unpin', { moved: 'let go', absent: 'not there' })
      : move(positionals, values, io, 'pin', { moved: 'pinned', absent: 'not there' }),
}
