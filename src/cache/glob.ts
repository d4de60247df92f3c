/**
 * Glob patterns over whole keys: `*` is any run of characters, `?` one character, `[a-z]` one of a set, `[^a-z]` one
 * outside it, `\` takes the next character as it is. As in Redis, `*` passes over every character and a `[` without
 * its `]` reaches to the end.
 *
 * Matching takes at most (length of the key) x (length of the pattern) steps, whatever the pattern: it is often
 * written by somebody else than the owner of the store.
 */

type Token =
  | { readonly kind: 'any' }
  | { readonly kind: 'one' }
  | { readonly kind: 'is'; readonly character: string }
  | {
      readonly kind: 'in'
      readonly ranges: readonly (readonly [string, string])[]
      readonly isNegated: boolean
    }

export interface Glob {
  /** What every matching key begins with. */
  readonly prefix: string
  matches(key: string): boolean
}

export function compileGlob(pattern: string): Glob {
  const tokens = parse([...pattern])
  return { prefix: prefixOf(tokens), matches: (key) => matches(tokens, [...key]) }
}

function parse(pattern: readonly string[]): Token[] {
  const tokens: Token[] = []
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at] as string
    if (character === '*') {
      // Runs of stars are one: each would only repeat the work of the other.
      if (tokens.at(-1)?.kind !== 'any') tokens.push({ kind: 'any' })
    } else if (character === '?') {
      tokens.push({ kind: 'one' })
    } else if (character === '[') {
      const end = endOfSet(pattern, at + 1)
      tokens.push(parseSet(pattern.slice(at + 1, end)))
      at = end
    } else {
      // A backslash at the very end stands for itself.
      if (character === '\\' && at + 1 < pattern.length) at++
      tokens.push({ kind: 'is', character: pattern[at] as string })
    }
  }
  return tokens
}

function endOfSet(pattern: readonly string[], start: number): number {
  for (let at = start; at < pattern.length; at++) {
    if (pattern[at] === '\\') at++
    else if (pattern[at] === ']') return at
  }
  return pattern.length
}

function parseSet(content: readonly string[]): Token {
  const isNegated = content[0] === '^'
  const ranges: [string, string][] = []
  for (let at = isNegated ? 1 : 0; at < content.length; at++) {
    if (content[at] === '\\' && at + 1 < content.length) at++
    const from = content[at] as string
    if (content[at + 1] === '-' && at + 2 < content.length) {
      const to = content[at + 2] as string
      ranges.push(from <= to ? [from, to] : [to, from])
      at += 2
    } else {
      ranges.push([from, from])
    }
  }
  return { kind: 'in', ranges, isNegated }
}

function prefixOf(tokens: readonly Token[]): string {
  let prefix = ''
  for (const token of tokens) {
    if (token.kind !== 'is') break
    prefix += token.character
  }
  return prefix
}

/** Only the last star ever needs another try: what stands before it was matched as early as possible. */
function matches(tokens: readonly Token[], key: readonly string[]): boolean {
  let token = 0
  let at = 0
  let star = -1
  let starAt = 0
  while (at < key.length) {
    const current = tokens[token]
    if (current?.kind === 'any') {
      star = token++
      starAt = at
    } else if (current !== undefined && accepts(current, key[at] as string)) {
      token++
      at++
    } else if (star >= 0) {
      token = star + 1
      at = ++starAt
    } else {
      return false
    }
  }
  while (tokens[token]?.kind === 'any') token++
  return token === tokens.length
}

function accepts(token: Token, character: string): boolean {
  if (token.kind === 'is') return token.character === character
  if (token.kind !== 'in') return true
  const point = character.codePointAt(0) as number
  const isInside = token.ranges.some(
    ([from, to]) => point >= (from.codePointAt(0) as number) && point <= (to.codePointAt(0) as number),
  )
  return isInside !== token.isNegated
}
