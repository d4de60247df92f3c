/** `ramcache import`: entries of an export into a store. */
import { createReadStream } from 'node:fs'
import { importEntries } from '../../keep.ts'
import { CliError, type CliIo, type Command } from '../command.ts'
import { ExitCode } from '../exit-codes.ts'
import { checkCount, OPEN_HELP, OPEN_OPTIONS, withStore } from '../offline.ts'

export const importCommand: Command = {
  name: 'import',
  help: `usage: ramcache import [FILE] -d DIR [--keep-existing]

Entries of an export, of either form, into a store that no process has open; it is made when there is none. Without
FILE, or with -, from stdin. Expired entries are passed over.

${OPEN_HELP}  --keep-existing  what is there already stays as it is
  --json           what was imported, as one object
`,
  options: { ...OPEN_OPTIONS, 'keep-existing': { type: 'boolean' } },
  async run(positionals, values, io) {
    checkCount(positionals, 0, 1, 'one FILE at most')
    const report = await withStore(values, io, true, (cache) =>
      importEntries(cache, sourceOf(positionals[0], io), {
        keepExisting: values['keep-existing'] === true,
        ...(io.signal === undefined ? {} : { signal: io.signal }),
      }),
    )
    const { entries, blobs, expired, kept } = report
    io.stdout.write(
      values.json === true
        ? `${JSON.stringify(report)}\n`
        : `${entries} entries imported (${blobs} blobs), ${expired} had expired, ${kept} were there already\n`,
    )
    return ExitCode.done
  },
}

function sourceOf(path: string | undefined, io: CliIo): AsyncIterable<Uint8Array> {
  if (path !== undefined && path !== '-') return createReadStream(path)
  if (io.stdin === undefined) throw new CliError(ExitCode.io, 'there is no stdin')
  return io.stdin
}
