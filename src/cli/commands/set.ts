/** `ramcache set`. */
import type { CliIo, Command, OptionValues } from '../command.ts'
import { usageError } from '../command.ts'
import { ExitCode } from '../exit-codes.ts'
import { LIVE_HELP, LIVE_OPTIONS, withCache } from '../live.ts'
import { checkCount, text } from '../offline.ts'

export const setCommand: Command = {
  name: 'set',
  help: `usage: ramcache set KEY VALUE [--as text|json|bytes] [--ttl TIME] [--tag TAG]... [-s SOCKET | -d DIR]

Stores VALUE, or what comes in when VALUE is '-', and prints the version.

  --as KIND         what VALUE is: text (default), json for objects and numbers, bytes for what comes in
  --ttl TIME        milliseconds, or 10s, 5m, 2h, 1d
  --tag TAG         label of the entry; may be repeated
${LIVE_HELP}`,
  options: {
    ...LIVE_OPTIONS,
    as: { type: 'string' },
    ttl: { type: 'string' },
    tag: { type: 'string', multiple: true },
  },
  async run(positionals, values, io) {
    checkCount(positionals, 2, 2, 'KEY and VALUE')
    const [key, given] = positionals as [string, string]
    const value = await valueIn(given, values, io)
    const ttl = text(values.ttl)
    const options = {
      ...(ttl === undefined ? {} : { ttl: /^\d+$/.test(ttl) ? Number(ttl) : ttl }),
      ...(values.tag === undefined ? {} : { tags: values.tag as string[] }),
    }
    const written = await withCache(values, io, (cache) => cache.set(key, value, options))
    io.stdout.write(values.json === true ? `${JSON.stringify(written)}\n` : `${written?.version}\n`)
    return ExitCode.done
  },
}

async function valueIn(given: string, values: OptionValues, io: CliIo): Promise<unknown> {
  const kind = text(values.as) ?? 'text'
  const bytes = given === '-' ? await bytesIn(io) : Buffer.from(given)
  switch (kind) {
    case 'text':
      return bytes.toString()
    case 'bytes':
      return bytes
    case 'json':
      try {
        return JSON.parse(bytes.toString())
      } catch (error) {
        throw usageError(`VALUE is not JSON: ${(error as Error).message}`)
      }
    default:
      throw usageError(`--as takes text, json or bytes, not ${kind}`)
  }
}

async function bytesIn({ stdin }: CliIo): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const part of stdin ?? []) parts.push(part)
  return Buffer.concat(parts)
}
