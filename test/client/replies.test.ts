/** Replies come in pieces, and from somebody who may be broken. */
import { describe, expect, it } from 'vitest'
import { Outbox } from '../../src/client/outbox.ts'
import { ErrorReply, type Reply, ReplyParser } from '../../src/client/replies.ts'
import { failure } from '../support/errors.ts'

const text = [
  '+OK\r\n',
  ':42\r\n',
  ':-7\r\n',
  '$5\r\nhe\r\no\r\n',
  '$0\r\n\r\n',
  '$-1\r\n',
  '*-1\r\n',
  '*0\r\n',
  '*3\r\n:2\r\n*2\r\n$1\r\na\r\n*1\r\n$2\r\né\r\n$-1\r\n',
  '-RC FULL no röom\r\n',
  '*1\r\n*1\r\n*0\r\n',
].join('')

const bytes = Buffer.from(text)

const expected: Reply[] = [
  'OK',
  42,
  -7,
  Buffer.from('he\r\no'),
  Buffer.alloc(0),
  null,
  null,
  [],
  [2, [Buffer.from('a'), [Buffer.from('é')]], null],
  new ErrorReply('RC FULL no röom'),
  [[[]]],
]

/** Views into what came in are only good while it stands: as the channel does, they are looked at in between. */
function parse(pieces: readonly Buffer[]): Reply[] {
  const parser = new ReplyParser()
  return pieces.flatMap((piece) => parser.push(piece))
}

describe('replies', () => {
  it('are understood wherever they are cut', () => {
    expect(parse([bytes])).toEqual(expected)
    for (let cut = 1; cut < bytes.length; cut++) {
      expect(parse([bytes.subarray(0, cut), bytes.subarray(cut)]), `cut at ${cut}`).toEqual(expected)
    }
    for (let pieceBytes = 1; pieceBytes <= 17; pieceBytes++) {
      const pieces = []
      for (let at = 0; at < bytes.length; at += pieceBytes) pieces.push(bytes.subarray(at, at + pieceBytes))
      expect(parse(pieces), `pieces of ${pieceBytes}`).toEqual(expected)
    }
  })

  it('come out as soon as they are whole', () => {
    const parser = new ReplyParser()
    expect(parser.push(Buffer.from('+OK\r\n$3\r\nab'))).toEqual(['OK'])
    expect(parser.push(Buffer.from('c\r'))).toEqual([])
    expect(parser.push(Buffer.from('\n*2\r\n:1\r\n'))).toEqual([Buffer.from('abc')])
    expect(parser.push(Buffer.from(':2\r\n'))).toEqual([[1, 2]])
  })

  it('may be long, and come in many pieces', () => {
    const value = Buffer.alloc(8 << 20, 'x')
    const whole = Buffer.concat([Buffer.from(`*2\r\n$${value.length}\r\n`), value, Buffer.from('\r\n:1\r\n')])
    const pieces = []
    for (let at = 0; at < whole.length; at += 65_536) pieces.push(whole.subarray(at, at + 65_536))
    const [reply] = parse(pieces)
    expect((reply as Buffer[])[0]?.equals(value)).toBe(true)
  })

  it.each<[string, string]>([
    ['another first byte', '?3\r\n'],
    ['a length that is no number', '$a\r\n'],
    ['a negative length', '$-2\r\n'],
    ['a length beyond every value', '$999999999999\r\n'],
    ['a list beyond every list', '*999999999\r\n'],
    ['a number beyond 2^53', ':9007199254740993\r\n'],
    ['a number that is empty', ':\r\n'],
    ['a string that is longer than it says', '$1\r\nab\r\n'],
    ['a line without its end', '+OK\n'],
    ['lists in lists in lists', '*1\r\n'.repeat(9)],
    ['a line without end', `+${'x'.repeat(70_000)}`],
  ])('are refused: %s', async (_, hostile) => {
    await failure('ERR_RAMCACHE_CORRUPT', () => parse([Buffer.from(hostile)]))
    await failure('ERR_RAMCACHE_CORRUPT', () => parse([...hostile].map((byte) => Buffer.from(byte))))
  })
})

it('commands are lists of strings, whatever they hold', () => {
  const outbox = new Outbox()
  const encode = (name: string, ...args: (string | number | Buffer)[]) => {
    const { block, start, end } = outbox.add(name, args)
    return block.subarray(start, end)
  }
  const command = encode('RC.SET', 'é\r\n', Buffer.from([0, 255, 13, 10]), 12, '', 1e21)
  const sent = '*6\r\n$6\r\nRC.SET\r\n$4\r\né\r\n\r\n$4\r\n'
  expect(command.subarray(0, Buffer.byteLength(sent)).toString()).toBe(sent)
  expect(parse([command])).toEqual([
    ['RC.SET', 'é\r\n', Buffer.from([0, 255, 13, 10]), '12', '', '1e+21'].map((part) => Buffer.from(part)),
  ])
  // Every length of an argument around where one more digit, another way of writing or another block begins.
  const lengths = [
    0, 1, 9, 10, 31, 32, 33, 63, 64, 65, 99, 100, 101, 999, 1000, 5000, 16_000, 17_000, 65_536, 100_000,
  ]
  const letters = ['x', 'ü', '€', '😀']
  const before = [command]
  for (const length of lengths) {
    for (const letter of letters) {
      const text = letter.repeat(length)
      const bytes = Buffer.alloc(length, 7)
      const long = encode('RC.X', text, bytes, 'x'.repeat(length))
      expect(parse([long])).toEqual([
        [Buffer.from('RC.X'), Buffer.from(text), bytes, Buffer.from('x'.repeat(length))],
      ])
      before.push(long)
    }
  }
  // None of it was written over.
  expect(parse(before)).toHaveLength(1 + lengths.length * letters.length)
})
