/** `ramcache verify`: everything a store has on disk is read and checked. */
import { type VerifyReport, verify } from '../../keep.ts'
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

export const verifyCommand: Command = {
  name: 'verify',
  help: `usage: ramcache verify -d DIR

Reads every batch of the log, every page and row of its index, and every entry of the HDD tier, and compares them; exit
code 1 when there are problems. No process may have the store open.

${DIRECTORY_HELP}  --json           all of it as one object
`,
  options: DIRECTORY_OPTIONS,
  async run(positionals, values, io) {
    checkCount(positionals, 0, 0, 'no arguments')
    const dir = directoryOf(values, io)
    const signal = io.signal === undefined ? {} : { signal: io.signal }
    const report = await foreseen(io, () => verify(dir, { ...tiersOf(values), ...signal }))
    io.stdout.write(values.json === true ? `${JSON.stringify(report)}\n` : describe(report))
    return report.isSound ? ExitCode.done : ExitCode.negative
  },
}

function describe({ log, index, hdd, problems, problemCount, isPartial }: VerifyReport): string {
  const torn = log.isTorn ? ', its end cut off by a crash' : ''
  const lines = [
    `log: ${log.files} files, ${sizeOf(log.bytes)}, ${log.batches} batches, ${log.changes} changes${torn}`,
    index === undefined ? 'index: none that can be read' : `index: ${index.rows} rows`,
    ...(hdd === undefined
      ? []
      : [`hdd: ${hdd.entries === undefined ? 'none that can be read' : `${hdd.entries} entries`}`]),
    ...(isPartial
      ? ['keys of the log were not looked for in the index: too many are deleted, or there is an HDD tier']
      : []),
    ...problems.map(({ part, message }) => `${part}: ${message}`),
    ...(problemCount > problems.length ? [`... and ${problemCount - problems.length} more`] : []),
    problemCount === 0 ? 'no problems' : `${problemCount} problems`,
  ]
  return `${lines.join('\n')}\n`
}
