/** `ramcache export`: all entries of a store to stdout or a file. */
import { open, rename, unlink } from 'node:fs/promises'
import { type ExportFormat, exportEntries } from '../../keep.ts'
import { type CliIo, type Command, type OptionValues, usageError } from '../command.ts'
import { ExitCode } from '../exit-codes.ts'
import { checkCount, OPEN_HELP, OPEN_OPTIONS, sizeOf, text, withStore } from '../offline.ts'

const formats: readonly ExportFormat[] = ['ndjson', 'binary']

export const exportCommand: Command = {
  name: 'export',
  help: `usage: ramcache export -d DIR [-n NAMESPACE] [--format ndjson|binary] [--output FILE]

All entries of a store that no process has open, to stdout. With --output to a file, which is there when it is whole.

${OPEN_HELP}  -n, --namespace NAME   only this namespace; may be given several times
  --format FORMAT  ndjson (one JSON object a line, the default) or binary
  -o, --output FILE
  --json           what was written, as one object; with --output only
`,
  options: {
    ...OPEN_OPTIONS,
    namespace: { type: 'string', short: 'n', multiple: true },
    format: { type: 'string' },
    output: { type: 'string', short: 'o' },
  },
  async run(positionals, values, io) {
    checkCount(positionals, 0, 0, 'no arguments')
    const format = formatOf(values)
    const output = text(values.output)
    if (values.json === true && output === undefined)
      throw usageError('--json needs --output: stdout has the entries')
    await withStore(values, io, false, async (cache) => {
      const namespaces = values.namespace as string[] | undefined
      const bytes = exportEntries(cache, {
        format,
        ...(namespaces === undefined ? {} : { namespaces }),
        ...(io.signal === undefined ? {} : { signal: io.signal }),
      })
      const length = output === undefined ? await toStdout(bytes, io) : await toFile(bytes, output)
      if (output !== undefined) report(output, length, values, io)
    })
    return ExitCode.done
  },
}

function formatOf(values: OptionValues): ExportFormat {
  const format = text(values.format) ?? 'ndjson'
  const known = formats.find((name) => name === format)
  if (known === undefined) throw usageError(`--format is ndjson or binary, not "${format}"`)
  return known
}

type Bytes = ReturnType<typeof exportEntries>

async function toStdout(bytes: Bytes, { stdout }: CliIo): Promise<number> {
  let length = 0
  for await (const piece of bytes as AsyncIterable<Buffer>) {
    length += piece.length
    if (stdout.write(piece) === false) await new Promise<void>((resolve) => stdout.once?.('drain', resolve))
  }
  return length
}

/** Under another name until all of it is there. */
async function toFile(bytes: Bytes, path: string): Promise<number> {
  const part = `${path}.part`
  const file = await open(part, 'w')
  let length = 0
  try {
    for await (const piece of bytes as AsyncIterable<Buffer>) {
      await file.writeFile(piece)
      length += piece.length
    }
    await file.sync()
  } catch (error) {
    await unlink(part)
    throw error
  } finally {
    await file.close()
  }
  await rename(part, path)
  return length
}

function report(output: string, bytes: number, values: OptionValues, io: CliIo): void {
  if (values.json === true) io.stdout.write(`${JSON.stringify({ output, bytes })}\n`)
  else io.stderr.write(`${output}: ${sizeOf(bytes)}\n`)
}
