/** The cases of resp-compatibility whose commands are all known here. */
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { openEmbedded, type Placement } from '../support/stores.ts'
import { ErrorReply, type Reply, socketOf, Wire } from './support.ts'

interface Case {
  readonly name: string
  readonly command: readonly string[]
  readonly result: readonly unknown[]
  readonly tags?: string
  readonly skipped?: boolean
  readonly command_binary?: boolean
}

const file = new URL('../fixtures/resp-cts.json', import.meta.url)
const cases = JSON.parse(readFileSync(file, 'utf8')) as Case[]

/** Listed in docs/PROTOCOL.md as left out: what they are about does not exist here. */
const leftOut =
  /^(z|l|b?[lr](push|pop|move|trem|mpop)|s(add|card|diff|inter|ismember|mismember|members|move|pop|rand|rem|scan|union|ort|publish|subscribe|unsubscribe|script)|h|x|geo|pf|bit|blm|bz|brp|rpop|rpush|set ?bit|getbit|setbit|lcs|eval|fcall|function|script|dump|restore|swapdb)/i

const commandsOf = ({ command }: Case) => command.map((line) => line.split(' ')[0]?.toLowerCase() as string)
const isLeftOut = (test: Case) =>
  commandsOf(test).some((name) => leftOut.test(name)) ||
  test.command.some((line) => /^pubsub shard/i.test(line))
const run = cases.filter((test) => !isLeftOut(test) && test.tags !== 'cluster')

/** Words of a line, with its escapes. */
function words(line: string): Buffer[] {
  return line.split(' ').map((word) =>
    Buffer.from(
      word.replaceAll(/\\x([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16))),
      'latin1',
    ),
  )
}

function plain(reply: Reply): unknown {
  if (reply instanceof ErrorReply) return `error: ${reply.text}`
  return Array.isArray(reply) ? reply.map(plain) : reply
}

describe('resp-compatibility', () => {
  let place: Placement
  let wire: Wire

  beforeAll(async () => {
    place = await openEmbedded()
  })
  afterAll(async () => {
    await place.end()
  })
  beforeEach(async () => {
    wire = await Wire.open(socketOf(place.dir))
    await wire.ask('FLUSHALL')
  })

  it('has cases for what is listed', () => {
    expect(run.length).toBeGreaterThan(70)
  })

  it.each(run.map((test) => [`${test.name}: ${test.command.join('; ')}`, test] as const))(
    '%s',
    async (_, test) => {
      const results: unknown[] = []
      for (const line of test.command) results.push(plain(await wire.ask(...words(line))))
      expect(results).toEqual(test.result)
      wire.close()
    },
  )
})
