/** Checks shared by every set of options: it must be an object, and every name in it must be known. */
import { RamcacheError, show } from '../base/errors.ts'

export function configError(message: string, cause?: unknown): RamcacheError {
  return new RamcacheError('ERR_RAMCACHE_CONFIG', message, cause)
}

/**
 * Refuses what is not an object, and names outside `known`. A name in `later` is part of the interface, but not of
 * this version: saying nothing would let somebody believe that it works. A name in `hidden` passes and is never
 * suggested.
 */
export function checkFields(
  options: unknown,
  where: string,
  known: readonly string[],
  later: readonly string[] = [],
  hidden: readonly string[] = [],
): asserts options is Record<string, unknown> {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw configError(`${where} must be an object, not ${show(options)}`)
  }
  const fields = options as Record<string, unknown>
  for (const name of Object.keys(fields)) {
    if (known.includes(name) || hidden.includes(name)) continue
    if (later.includes(name)) {
      // Present but undefined is what spreading optional settings gives: nothing was asked for.
      if (fields[name] === undefined) continue
      throw notSupported(`the option ${name} of ${where}`)
    }
    throw unknownOption(name, where, known)
  }
}

export function notSupported(what: string): RamcacheError {
  return configError(`${what} is not supported by this version`)
}

function unknownOption(name: string, where: string, known: readonly string[]): RamcacheError {
  const nearest = nearestName(name, known)
  const hint = nearest === undefined ? `known are: ${known.join(', ')}` : `did you mean ${nearest}?`
  return configError(`unknown option ${show(name)} in ${where}; ${hint}`)
}

/** The known name closest to a mistyped one, when at most a third of it (and one letter at least) is wrong. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  // Longer than any option there is; also keeps the table of distances small.
  if (name.length > 40) return undefined
  const limit = Math.max(1, Math.floor(name.length / 3))
  let nearest: string | undefined
  let nearestDistance = limit + 1
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase())
    if (distance < nearestDistance) {
      nearest = candidate
      nearestDistance = distance
    }
  }
  return nearest
}

/** Levenshtein distance, one row at a time. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let line = 1; line <= from.length; line++) {
    const next = [line]
    for (let column = 1; column <= to.length; column++) {
      const replaced = (row[column - 1] as number) + (from[line - 1] === to[column - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[column] as number) + 1, (next[column - 1] as number) + 1))
    }
    row = next
  }
  return row[to.length] as number
}
