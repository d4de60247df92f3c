/**
 * The terminal while `ramcache top` has it: another screen, no cursor, no line breaks of its own, keys one by one. All of it is
 * given back by `leave`, however it ends.
 */
import type { Keyboard, Output } from '../command.ts'
import type { Line, Size } from './frame.ts'

const escapeKey = '\x1b'
const enter = '\x1b[?1049h\x1b[?25l\x1b[?7l'
const leave = '\x1b[?7h\x1b[?25h\x1b[?1049l'
const home = '\x1b[H'
const clearLine = '\x1b[K'
const clearBelow = '\x1b[J'
const reverse = (text: string) => `\x1b[7m${text}\x1b[27m`

/** What a terminal has that does not say. */
const usualSize: Size = { columns: 80, rows: 24 }

export class Screen {
  readonly #stdout: Output
  readonly #stdin: Keyboard | undefined
  readonly #onKey: (key: string) => void
  readonly #isPlain: boolean
  readonly #take = (bytes: Uint8Array) => {
    const keys = Buffer.from(bytes).toString('latin1')
    // An arrow or the like begins as Escape does.
    if (keys.startsWith(escapeKey) && keys.length > 1) return
    for (const key of keys) this.#onKey(key)
  }
  #isEntered = false

  /** `isPlain`: without reverse video. */
  constructor(stdout: Output, stdin: Keyboard | undefined, onKey: (key: string) => void, isPlain: boolean) {
    this.#stdout = stdout
    this.#stdin = stdin?.isTTY === true ? stdin : undefined
    this.#onKey = onKey
    this.#isPlain = isPlain
  }

  get size(): Size {
    const { columns, rows } = this.#stdout
    return { columns: columns || usualSize.columns, rows: rows || usualSize.rows }
  }

  enter(): void {
    if (!this.#isEntered) this.#stdin?.on?.('data', this.#take)
    this.#isEntered = true
    this.#stdin?.setRawMode?.(true)
    this.#stdout.write(enter)
  }

  draw(lines: readonly Line[]): void {
    if (!this.#isEntered) return
    const shown = lines.map(
      ({ text, isHeading }) => (isHeading && !this.#isPlain ? reverse(text) : text) + clearLine,
    )
    this.#stdout.write(`${home}${shown.join('\r\n')}${clearBelow}`)
  }

  leave(): void {
    if (!this.#isEntered) return
    this.#isEntered = false
    this.#stdout.write(leave)
    this.#stdin?.setRawMode?.(false)
    this.#stdin?.off?.('data', this.#take)
    this.#stdin?.pause?.()
  }
}
